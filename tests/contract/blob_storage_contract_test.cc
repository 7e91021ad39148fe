// What every BlobStorage must do. A further one adds itself to blob_storage_under_test.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/io.h"
#include "cache/server/fsck.h"
#include "cache/server/registry.h"
#include "tests/contract/blob_storage_under_test.h"

namespace kiln::server {
namespace {

using fake::code_of;
using fake::must;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Maker = std::unique_ptr<StorageUnderTest> (*)();

class BlobStorageContract : public ::testing::TestWithParam<Maker> {
 protected:
  void SetUp() override { under_test_ = GetParam()(); }
  BlobStorage& storage() { return under_test_->open(); }
  void restart() { under_test_->close(); }

  static BlobDigest digest_of(const std::string& bytes,
                              HashAlgorithm algorithm = HashAlgorithm::kSha256) {
    return BlobDigest::of(algorithm, bytes);
  }
  std::string upload(const std::string& bytes) {
    const std::string id = must(storage().create_upload("a/b"));
    append(id, bytes);
    return id;
  }
  void append(const std::string& id, const std::string& bytes) {
    must(must(storage().append(id, HashAlgorithm::kSha256))->write(as_bytes(bytes)));
  }
  std::string read(const BlobDigest& digest) {
    OpenBlob blob = must(storage().open_blob(digest));
    const uint64_t size = blob.size;
    const auto source = source_of(std::move(blob), "blob");
    const std::string bytes = must(read_all(*source, 64U << 20U, "blob"));
    EXPECT_EQ(bytes.size(), size);
    return bytes;
  }

  std::unique_ptr<StorageUnderTest> under_test_;
};

TEST_P(BlobStorageContract, ABlobIsThereWhenItIsPublishedAndNotBefore) {
  const BlobDigest digest = digest_of("bytes");
  const std::string id = upload("bytes");
  EXPECT_EQ(must(storage().blob_size(digest)), std::nullopt);
  EXPECT_EQ(must(storage().seal_upload(id, digest)).size, 5U);
  EXPECT_EQ(must(storage().blob_size(digest)), std::nullopt);
  must(storage().publish_upload(id, digest));
  EXPECT_EQ(must(storage().blob_size(digest)), 5U);
  EXPECT_EQ(read(digest), "bytes");
  EXPECT_FALSE(must(storage().upload(id)));
  restart();
  EXPECT_EQ(read(digest), "bytes");
}

TEST_P(BlobStorageContract, OtherBytesThanTheDigestsAreNeverPublished) {
  const std::string id = upload("bytes");
  const BlobDigest other = digest_of("other");
  EXPECT_EQ(must(storage().seal_upload(id, other)).digest, digest_of("bytes"));
  EXPECT_EQ(code_of(storage().publish_upload(id, other)), "failed_precondition");
  EXPECT_EQ(code_of(storage().publish_upload(id, digest_of("bytes"))), "failed_precondition");
  // What came after it was verified is not verified.
  must(storage().seal_upload(id, digest_of("bytes")));
  append(id, "!");
  EXPECT_EQ(code_of(storage().publish_upload(id, digest_of("bytes"))), "failed_precondition");
  EXPECT_EQ(must(storage().blob_size(digest_of("bytes"))), std::nullopt);
  must(storage().seal_upload(id, digest_of("bytes!")));
  must(storage().publish_upload(id, digest_of("bytes!")));
}

TEST_P(BlobStorageContract, UploadsSurviveRestarts) {
  const std::string id = upload("half ");
  restart();
  const auto state = must(storage().upload(id));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->repository, "a/b");
  EXPECT_EQ(state->size, 5U);
  append(id, "whole");
  const BlobDigest digest = digest_of("half whole", HashAlgorithm::kSha512);
  must(storage().seal_upload(id, digest));
  must(storage().publish_upload(id, digest));
  EXPECT_EQ(read(digest), "half whole");
}

TEST_P(BlobStorageContract, BlobsOfManyPiecesAreWholeAndCanBeReadInPart) {
  std::string bytes;
  const std::string id = must(storage().create_upload("a"));
  for (int i = 0; i < 12; ++i) {
    const std::string piece(static_cast<size_t>(i % 5 + 3), static_cast<char>('a' + i));
    append(id, piece);
    bytes += piece;
  }
  const BlobDigest digest = digest_of(bytes);
  EXPECT_EQ(must(storage().seal_upload(id, digest)).size, bytes.size());
  must(storage().publish_upload(id, digest));
  EXPECT_EQ(read(digest), bytes);
  OpenBlob blob = must(storage().open_blob(digest));
  if (auto* remote = std::get_if<std::unique_ptr<RemoteBytes>>(&blob.bytes)) {
    const auto source = (*remote)->range(7, 11);
    EXPECT_EQ(must(read_all(*source, 100, "range")), bytes.substr(7, 11));
  }
}

TEST_P(BlobStorageContract, OneAtATimeWritesToAnUpload) {
  const std::string id = must(storage().create_upload("a"));
  {
    const auto writer = must(storage().append(id, HashAlgorithm::kSha256));
    EXPECT_EQ(code_of(storage().append(id, HashAlgorithm::kSha256)), "failed_precondition");
    EXPECT_EQ(code_of(storage().seal_upload(id, digest_of(""))), "failed_precondition");
    EXPECT_EQ(code_of(storage().drop_upload(id)), "failed_precondition");
  }
  must(storage().drop_upload(id));
  EXPECT_EQ(code_of(storage().append(id, HashAlgorithm::kSha256)), "not_found");
  EXPECT_EQ(code_of(storage().seal_upload(id, digest_of(""))), "not_found");
}

TEST_P(BlobStorageContract, UploadsExpireUnlessTheyAreWrittenTo) {
  const std::string idle = upload("x"), busy = upload("y");
  const TimePoint now = Clock::system().now();
  EXPECT_EQ(must(storage().expire_uploads(now - std::chrono::hours(1))), 0U);
  const auto writer = must(storage().append(busy, HashAlgorithm::kSha256));
  EXPECT_EQ(must(storage().expire_uploads(now + std::chrono::hours(1))), 1U);
  EXPECT_FALSE(must(storage().upload(idle)));
  EXPECT_TRUE(must(storage().upload(busy)));
}

TEST_P(BlobStorageContract, WhatIsPublishedTwiceIsThereOnceAndYoung) {
  const BlobDigest digest = digest_of("twice");
  must(storage().put_blob(digest, "twice"));
  const TimePoint first = *must(storage().blob_touched(digest));
  const std::string id = upload("twice");
  must(storage().seal_upload(id, digest));
  must(storage().publish_upload(id, digest));
  EXPECT_GE(*must(storage().blob_touched(digest)), first);
  size_t found = 0;
  must(storage().each_blob([&](const BlobStorage::BlobEntry& entry) -> Status {
    found += entry.digest == digest && entry.size == 5 ? 1 : 100;
    return {};
  }));
  EXPECT_EQ(found, 1U);
  must(storage().remove_blob(digest));
  must(storage().remove_blob(digest));
  EXPECT_EQ(code_of(storage().open_blob(digest)), "not_found");
  EXPECT_EQ(code_of(storage().touch_blob(digest)), "not_found");
  EXPECT_EQ(must(storage().blob_touched(digest)), std::nullopt);
}

TEST_P(BlobStorageContract, QuarantineTakesABlobOutOfTheWay) {
  const BlobDigest digest = digest_of("bad");
  must(storage().put_blob(digest, "bad"));
  must(storage().quarantine_blob(digest));
  EXPECT_EQ(must(storage().blob_size(digest)), std::nullopt);
}

TEST_P(BlobStorageContract, RecordsAreReplacedListedAndErased) {
  const RecordKey tag{"a/b", RecordKind::kTag, "latest"};
  EXPECT_EQ(must(storage().record(tag)), std::nullopt);
  EXPECT_FALSE(must(storage().has_repository("a/b")));
  must(storage().put_record(tag, "one"));
  must(storage().put_record(tag, "two"));
  must(storage().put_record({"a/b", RecordKind::kTag, "B"}, "x"));
  must(storage().put_record({"a-b", RecordKind::kBlob, digest_of("").component()}, ""));
  must(storage().put_record({"a/b", RecordKind::kReferrer, "sha256-1", "sha256-0"}, "{}"));
  restart();
  EXPECT_EQ(must(storage().record(tag)), "two");
  using Names = std::vector<std::string>;
  EXPECT_EQ(must(storage().record_names("a/b", RecordKind::kTag, "")), (Names{"B", "latest"}));
  EXPECT_EQ(must(storage().record_names("a", RecordKind::kTag, "")), Names());
  EXPECT_EQ(must(storage().record_names("a/b", RecordKind::kReferrer, "sha256-0")),
            Names{"sha256-1"});
  EXPECT_EQ(must(storage().referrer_groups("a/b")), Names{"sha256-0"});
  EXPECT_EQ(must(storage().repositories()), (Names{"a-b", "a/b"}));
  EXPECT_EQ(must(storage().record({"a-b", RecordKind::kBlob, digest_of("").component()})), "");
  const TimePoint before = *must(storage().record_touched(tag));
  must(storage().touch_record(tag));
  EXPECT_GE(*must(storage().record_touched(tag)), before);
  must(storage().erase_record(tag));
  must(storage().erase_record(tag));
  EXPECT_EQ(must(storage().record(tag)), std::nullopt);
  EXPECT_EQ(code_of(storage().touch_record(tag)), "not_found");
  must(storage().erase_record({"a/b", RecordKind::kTag, "B"}));
  must(storage().erase_record({"a/b", RecordKind::kReferrer, "sha256-1", "sha256-0"}));
  EXPECT_EQ(must(storage().repositories()), Names{"a-b"});
}

TEST_P(BlobStorageContract, NoNameLeadsOutOfTheStorage) {
  for (const RecordKey& key :
       {RecordKey{"..", RecordKind::kTag, "a"}, RecordKey{"a/../b", RecordKind::kTag, "a"},
        RecordKey{"a", RecordKind::kTag, "../x"}, RecordKey{"a", RecordKind::kTag, ".."},
        RecordKey{"a", RecordKind::kTag, ""}, RecordKey{"a", RecordKind::kReferrer, "x", ".."}}) {
    EXPECT_EQ(code_of(storage().put_record(key, "x")), "internal") << key.name;
    EXPECT_EQ(code_of(storage().record(key)), "internal") << key.name;
  }
  EXPECT_EQ(must(storage().upload("../../etc")), std::nullopt);
  EXPECT_EQ(code_of(storage().append("../../etc", HashAlgorithm::kSha256)), "not_found");
}

TEST_P(BlobStorageContract, ManyThreadsPublishTheSameAndDifferentThings) {
  BlobStorage& store = storage();
  std::atomic<int> failures{0};
  const auto work = [&](int number) {
    for (int round = 0; round < 8; ++round) {
      // Every second is everybody's; a directory that empties is made again by whoever needs it.
      const std::string bytes =
          round % 2 == 0 ? "shared" : std::to_string(number) + "." + std::to_string(round);
      const BlobDigest digest = digest_of(bytes);
      const RecordKey tag{"a", RecordKind::kTag, "t" + std::to_string(number)};
      const auto id = store.create_upload("a");
      const auto write = [&] {
        return must(store.append(*id, HashAlgorithm::kSha256))->write(as_bytes(bytes)).has_value();
      };
      const bool done = id && write() && store.seal_upload(*id, digest) &&
                        store.publish_upload(*id, digest) && store.put_record(tag, "x") &&
                        store.erase_record(tag) && store.blob_size(digest).value() == bytes.size();
      if (!done) ++failures;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(work, i);
  }
  EXPECT_EQ(failures, 0);
}

/// A registry in that storage, and what a check of it tells.
class CheckContract : public BlobStorageContract {
 protected:
  void push(const std::string& bytes) {
    Registry registry(storage(), {});
    const std::string id = registry.start_upload("a").value();
    append(id, bytes);
    ASSERT_TRUE(registry.commit_upload("a", id, digest_of(bytes)));
  }
  void push_image(const std::string& tag, const std::string& layer) {
    const std::string type = "application/vnd.oci.image.";
    const auto descriptor = [&](const std::string& kind, const std::string& bytes) {
      return R"({"mediaType":")" + type + kind + R"(","digest":")" + digest_of(bytes).to_string() +
             R"(","size":)" + std::to_string(bytes.size()) + "}";
    };
    push("{}");
    push(layer);
    const std::string manifest = R"({"schemaVersion":2,"config":)" +
                                 descriptor("config.v1+json", "{}") + R"(,"layers":[)" +
                                 descriptor("layer.v1.tar", layer) + "]}";
    ASSERT_TRUE(
        Registry(storage(), {}).put_manifest("a", tag, manifest, type + "manifest.v1+json"));
  }
  FsckReport check(Repair repair) {
    told_.clear();
    return must(check_storage(storage(), repair,
                              [&](const std::string& line) { told_.push_back(line); }, {}));
  }
  std::vector<std::string> told_;
};

TEST_P(CheckContract, WhatIsDamagedOrMissingIsFoundAndRepairedAsFarAsThatGoes) {
  push_image("1", "layer");
  EXPECT_EQ(check(Repair::kYes).blobs, 3U);
  EXPECT_THAT(told_, IsEmpty());
  under_test_->damage(digest_of("layer"), "LAYERS");
  must(storage().put_record({"a", RecordKind::kTag, "dangling"}, digest_of("no").to_string()));
  const RecordKey manifest{"a", RecordKind::kManifest,
                           must(storage().record_names("a", RecordKind::kManifest, "")).front()};
  const std::string record = *must(storage().record(manifest));
  must(storage().put_record(manifest, "{\"size\""));
  for (int round = 0; round < 2; ++round) {  // a check changes nothing
    const FsckReport found = check(Repair::kNo);
    EXPECT_EQ(found.problems, 3U) << ::testing::PrintToString(told_);
    EXPECT_EQ(found.repaired, 0U);
  }
  const std::string layer = digest_of("layer").to_string();
  EXPECT_THAT(told_, Contains(HasSubstr("blob " + layer + " is damaged: --repair puts it")));
  EXPECT_THAT(told_, Contains(HasSubstr("refers to " + layer + ", which is damaged: push it")));
  EXPECT_THAT(told_, Contains(HasSubstr("has a damaged record")));
  EXPECT_THAT(told_, Contains(HasSubstr("tag \"a:dangling\" leads to no manifest")));
  // Held but absent, and missed by its manifest, which stays.
  const FsckReport repaired = check(Repair::kYes);
  EXPECT_EQ(repaired.problems, 5U) << ::testing::PrintToString(told_);
  EXPECT_EQ(repaired.repaired, 4U);
  EXPECT_EQ(must(storage().blob_size(digest_of("layer"))), std::nullopt);
  EXPECT_EQ(must(storage().record(manifest)), record);
  EXPECT_EQ(check(Repair::kNo).problems, 1U) << ::testing::PrintToString(told_);
  push("layer");
  restart();
  EXPECT_EQ(check(Repair::kNo).problems, 0U) << ::testing::PrintToString(told_);
}

TEST_P(CheckContract, OfADamagedManifestNothingIsLeft) {
  push_image("1", "layer");
  const std::string name = must(storage().record_names("a", RecordKind::kManifest, "")).front();
  under_test_->damage(must(BlobDigest::from_component(name)), "{}");
  EXPECT_EQ(check(Repair::kNo).problems, 1U) << ::testing::PrintToString(told_);
  EXPECT_EQ(check(Repair::kYes).repaired, 3U) << ::testing::PrintToString(told_);
  EXPECT_THAT(must(storage().record_names("a", RecordKind::kTag, "")), IsEmpty());
  EXPECT_EQ(check(Repair::kNo).problems, 0U) << ::testing::PrintToString(told_);
}

template <class T>
std::unique_ptr<StorageUnderTest> make() {
  return std::make_unique<T>();
}

std::vector<Maker> storages() {
  std::vector<Maker> all = {&make<DirectoryUnderTest>, &make<BucketUnderTest>};
  if (fake::given_bucket()) all.push_back(&make<GivenBucketUnderTest>);
  return all;
}
std::string name_of(const ::testing::TestParamInfo<Maker>& test) {
  return test.index == 0 ? "Directory" : test.index == 1 ? "Bucket" : "GivenBucket";
}

INSTANTIATE_TEST_SUITE_P(Storages, BlobStorageContract, ::testing::ValuesIn(storages()), name_of);
INSTANTIATE_TEST_SUITE_P(Storages, CheckContract, ::testing::ValuesIn(storages()), name_of);

TEST(DirectoryStorageTest, IsOpenedByOneAndOnlyIfItIsOurs) {
  const TempDir dir = must(TempDir::create("/tmp", "kiln-storage-"));
  const auto first = must(DirectoryStorage::open(dir.path() + "/store"));
  EXPECT_EQ(code_of(DirectoryStorage::open(dir.path() + "/store")), "failed_precondition");
  EXPECT_EQ(code_of(DirectoryStorage::open(dir.path())), "failed_precondition");
  must(make_dirs(dir.path() + "/new"));
  must(write_file(dir.path() + "/new/kiln-registry", "{\"format\":2}"));
  EXPECT_EQ(code_of(DirectoryStorage::open(dir.path() + "/new")), "failed_precondition");
}

}  // namespace
}  // namespace kiln::server
