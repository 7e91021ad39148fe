// Storage in a bucket that several servers write to.
#include <gmock/gmock.h>

#include <thread>

#include "base/clock.h"
#include "base/io.h"
#include "cache/server/fsck.h"
#include "cache/server/open_storage.h"
#include "tests/unit/server/s3_fixture.h"

namespace kiln::server {
namespace {

using fake::code_of;
using fake::FakeS3;
using fake::must;
using std::chrono::milliseconds;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(S3StorageTest, AnUploadGoesOnThroughAnotherServer) {
  const std::string id = must(one_->create_upload("team/app"));
  const std::string first(50, 'a'), second(30, 'b'), all = first + second;
  append(*one_, id, first);
  const auto state = must(two_->upload(id));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->repository, "team/app");
  EXPECT_EQ(state->size, 50U);
  append(*two_, id, second);
  EXPECT_EQ(must(one_->upload(id))->size, 80U);
  EXPECT_EQ(must(one_->seal_upload(id, digest(first))).digest, digest(all));
  EXPECT_EQ(must(one_->seal_upload(id, digest(all))).size, 80U);
  EXPECT_EQ(blob(all), "");
  must(one_->publish_upload(id, digest(all)));
  EXPECT_EQ(blob(all), all);
  EXPECT_FALSE(must(two_->upload(id)));
  EXPECT_THAT(s3_.keys(), Not(Contains(StartsWith("uploads/"))));
  EXPECT_EQ(s3_.open_multiparts(), 0U);
}

TEST_F(S3StorageTest, TwoServersThatWriteTheSameUploadPublishOnlyWhatIsVerified) {
  const std::string id = must(one_->create_upload("a"));
  const auto stalled = must(one_->append(id, HashAlgorithm::kSha256));
  must(stalled->write(as_bytes(std::string(20, 'x'))));
  // The client gave that server up and went on elsewhere, from where the bucket says.
  append(*two_, id, std::string(20, 'y'));
  must(stalled->write(as_bytes(std::string(20, 'z'))));
  must(stalled->finish());
  const std::string other = std::string(20, 'x') + std::string(20, 'z');
  const std::string wanted = std::string(20, 'x') + std::string(20, 'y');
  const bool is_wanted = must(two_->seal_upload(id, digest(wanted))).digest == digest(wanted);
  const bool is_other = must(two_->seal_upload(id, digest(other))).digest == digest(other);
  EXPECT_NE(is_wanted, is_other) << "one of them, and that is verified";
  must(two_->seal_upload(id, digest(is_wanted ? wanted : other)));
  must(two_->publish_upload(id, digest(is_wanted ? wanted : other)));
  EXPECT_EQ(blob(is_wanted ? wanted : other), is_wanted ? wanted : other);
}

TEST_F(S3StorageTest, ASealThatBrokeOffLeavesNothingBehindWhenItsUploadExpires) {
  const std::string id = must(one_->create_upload("a")), bytes(60, 'm');
  append(*one_, id, bytes);
  s3_.set_fault([](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.query.find("partNumber=2") == std::string::npos) return std::nullopt;
    return FakeS3::error(503, "SlowDown");
  });
  EXPECT_EQ(code_of(one_->seal_upload(id, digest(bytes))), "unavailable");
  s3_.set_fault({});
  EXPECT_EQ(s3_.open_multiparts(), 1U);
  s3_.advance(std::chrono::hours(2));
  const TimePoint now = must(one_->begin_collection({}))->now();
  EXPECT_EQ(must(two_->expire_uploads(now - std::chrono::hours(3))), 0U);
  EXPECT_EQ(must(two_->expire_uploads(now - std::chrono::hours(1))), 1U);
  EXPECT_EQ(s3_.open_multiparts(), 0U);
  EXPECT_THAT(s3_.keys(), ElementsAre("kiln-registry"));
  EXPECT_EQ(blob(bytes), "");
}

TEST_F(S3StorageTest, BytesThatDidNotReachTheBucketAreToldOf) {
  const std::string id = must(one_->create_upload("a"));
  s3_.set_fault([](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.method != "PUT") return std::nullopt;
    return FakeS3::error(503, "SlowDown");
  });
  {
    const auto writer = must(one_->append(id, HashAlgorithm::kSha256));
    must(writer->write(as_bytes("small")));
    EXPECT_EQ(code_of(writer->finish()), "unavailable");
  }
  s3_.set_fault({});
  EXPECT_EQ(must(one_->upload(id))->size, 0U);
  append(*one_, id, "again");
  must(one_->seal_upload(id, digest("again")));
}

TEST_F(S3StorageTest, ADamagedBlobThatOneRequestCannotCopyIsKeptAsWell) {
  S3StorageOptions small = options();
  small.most_copied_bytes = 40;
  small.copied_part_bytes = 16;
  s3_.set_most_copied_bytes(40);
  const auto storage = must(S3Storage::open(small));
  const BlobDigest wanted = digest("what it was");
  const std::string at = "blobs/sha256/" + wanted.hex(), kept = "quarantine/" + wanted.component();
  const std::string damaged(70, 'd');
  s3_.put(at, damaged);
  for (const char* broken : {"partNumber=3", "uploadId", "uploads"}) {
    s3_.set_fault([broken](const fake::Request& request) -> std::optional<fake::Response> {
      if (request.query.find(broken) == std::string::npos || request.method == "DELETE")
        return std::nullopt;
      return FakeS3::error(400, "InvalidRequest");
    });
    EXPECT_NE(code_of(storage->quarantine_blob(wanted)), "ok") << broken;
    EXPECT_EQ(s3_.get(at), damaged) << "it is the only one: " << broken;
    EXPECT_EQ(s3_.open_multiparts(), 0U) << broken;
  }
  s3_.set_fault({});
  must(storage->quarantine_blob(wanted));
  EXPECT_EQ(s3_.get(kept), damaged);
  EXPECT_EQ(s3_.get(at), "");
  EXPECT_EQ(s3_.open_multiparts(), 0U);
}

TEST_F(S3StorageTest, OneServerCollectsAtATime) {
  auto collection = must(one_->begin_collection({}));
  EXPECT_EQ(code_of(two_->begin_collection({})), "failed_precondition");
  collection.reset();
  must(two_->begin_collection({}));
  // One that died is waited for, not for ever.
  s3_.put("collector", "somebody");
  EXPECT_EQ(code_of(two_->begin_collection({})), "failed_precondition");
  s3_.advance(std::chrono::hours(1));
  must(two_->begin_collection({}));
}

// Both orders of a push and a collection in two servers: whatever the push relies on is there.
TEST_F(S3StorageTest, WhatIsAboutToBeCollectedIsWaitedForByWhoeverTouchesIt) {
  const BlobDigest old = digest("old");
  const RecordKey holding{"a", RecordKind::kBlob, old.component()};
  must(one_->put_blob(old, "old"));
  must(one_->put_record(holding, ""));
  s3_.advance(std::chrono::hours(48));
  auto collection = must(one_->begin_collection({}));
  must(collection->announce_blobs(std::vector<BlobDigest>{old}));
  std::string touched;
  {
    std::jthread push([&] { touched = code_of(two_->touch_blob(old)); });
    must(one_->remove_blob(old));  // it was looked at before the touch
    must(collection->finished());
  }
  EXPECT_EQ(touched, "not_found") << "the client sends it again";
  // A touch before the last look is seen by it.
  must(one_->put_blob(old, "old"));
  s3_.advance(std::chrono::hours(48));
  must(two_->touch_record(holding));
  EXPECT_GT(*must(one_->record_touched(holding)), collection->now() + std::chrono::hours(40));
  EXPECT_GT(*must(one_->blob_touched(old)), collection->now() + std::chrono::hours(40));
  // What is made again while it is being taken away is there in the end.
  must(collection->announce_records(std::vector<RecordKey>{holding}));
  {
    std::jthread push([&] { touched = code_of(two_->put_record(holding, "")); });
    must(one_->erase_record(holding));
    must(collection->finished());
  }
  EXPECT_EQ(touched, "ok");
  EXPECT_TRUE(must(one_->record_touched(holding)));
}

// The attempt that was not answered may be carried out at any later time.
TEST_F(S3StorageTest, ARepeatedRemovalTakesNothingThatIsPushedAfterIt) {
  const BlobDigest old = digest("old");
  must(one_->put_blob(old, "old"));
  auto collection = must(one_->begin_collection({}));
  must(collection->announce_blobs(std::vector<BlobDigest>{old, digest("other")}));
  // Shared: the storages have things to remove after this test, too.
  const auto left = std::make_shared<std::atomic<int>>(1);
  s3_.set_fault([left](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.method != "DELETE" || (*left)-- <= 0) return std::nullopt;
    return fake::Response{204, {}, "", fake::Fault::kReset, 0, true};
  });
  must(one_->remove_blob(old));
  must(collection->finished());
  S3StorageOptions hasty = options();
  hasty.sweeps.patience = milliseconds(0);
  const auto third = must(S3Storage::open(hasty));
  EXPECT_EQ(code_of(third->put_blob(old, "old")), "unavailable");
  must(third->put_blob(digest("other"), "other"));
  s3_.advance(std::chrono::minutes(11));
  must(third->put_blob(old, "old"));
}

TEST_F(S3StorageTest, NotAllThreadsWaitForACollection) {
  const BlobDigest old = digest("old");
  const auto collection = must(one_->begin_collection({}));
  must(collection->announce_blobs(std::vector<BlobDigest>{old}));
  S3StorageOptions crowded = options();
  crowded.sweeps.most_waiting = 0;
  EXPECT_EQ(code_of(must(S3Storage::open(crowded))->put_blob(old, "old")), "unavailable");
}

TEST_F(S3StorageTest, ABlobHasNoMorePartsThanItMay) {
  S3StorageOptions few = options();
  few.max_parts = 3;
  const auto storage = must(S3Storage::open(few));
  const std::string id = must(storage->create_upload("a")), bytes(190, 'p');
  append(*storage, id, bytes);  // 10 objects
  const auto parts = std::make_shared<std::atomic<int>>(0);
  s3_.set_fault([parts](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.query.find("partNumber=") != std::string::npos) ++*parts;
    return std::nullopt;
  });
  must(storage->seal_upload(id, digest(bytes)));
  must(storage->publish_upload(id, digest(bytes)));
  EXPECT_EQ(*parts, 3);
  EXPECT_EQ(blob(bytes), bytes);
}

TEST_F(S3StorageTest, ClocksThatDifferAreToldOfAtTheStart) {
  for (const auto& [minutes, words] :
       {std::pair(6, "behind the object storage's"), std::pair(-6, "ahead of the object")}) {
    s3_.advance(std::chrono::minutes(minutes));
    const auto opened = S3Storage::open(options());
    s3_.advance(std::chrono::minutes(-minutes));
    EXPECT_EQ(code_of(opened), "failed_precondition");
    EXPECT_THAT(opened.error().message(), HasSubstr(words));
  }
  s3_.advance(std::chrono::minutes(4));
  must(S3Storage::open(options()));
}

TEST_F(S3StorageTest, ABucketWithSomethingElseIsLeftAlone) {
  FakeS3 other;
  other.put("photo.jpg", "x");
  S3StorageOptions there = options();
  there.client.endpoint = other.endpoint();
  EXPECT_EQ(code_of(S3Storage::open(there)), "failed_precondition");
  there.prefix = "registry";
  there.absent = Absent::kRefuse;
  EXPECT_EQ(code_of(S3Storage::open(there)), "invalid_argument");
  EXPECT_THAT(other.keys(), ElementsAre("photo.jpg"));
  there.absent = Absent::kMake;
  must(S3Storage::open(there));
  EXPECT_THAT(other.keys(), ElementsAre("photo.jpg", "registry/kiln-registry"));
  other.put("registry/kiln-registry", "{\"format\":2}");
  EXPECT_EQ(code_of(S3Storage::open(there)), "failed_precondition");
}

TEST(OpenStorageTest, SaysWhatIsWrong) {
  for (const char* name : {"s3://", "s3://Bucket/x", "s3://bucket/a//b", "s3://bucket/../b"})
    EXPECT_EQ(code_of(open_storage(name, {}, {})), "invalid_argument") << name;
  EXPECT_EQ(code_of(open_storage("s3://bucket", {}, {})), "invalid_argument") << "no key";
  ServerConfig config;
  EXPECT_TRUE(check_shared_settings(config));
  config.collect_grace = std::chrono::minutes(5);
  EXPECT_FALSE(check_shared_settings(config));
}

}  // namespace
}  // namespace kiln::server
