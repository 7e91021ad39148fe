// What every CacheTransport promises (cache/transport.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"
#include "cache/directory_transport.h"
#include "cache/entry.h"
#include "cache/kiln_transport.h"
#include "cache/mount_entry.h"
#include "cache/registry_transport.h"
#include "cache/server/serve.h"
#include "oci/local_content_store.h"
#include "oci/push.h"
#include "tests/fakes/fake_registry.h"
#include "tests/fakes/must.h"

namespace kiln::cache {
namespace {

using fake::code_of;
using fake::must;
using testing::ElementsAre;

struct TransportUnderTest {
  virtual ~TransportUnderTest() = default;
  /// Another one to the same place.
  virtual std::unique_ptr<CacheTransport> open() = 0;
};

struct DirectoryUnderTest : TransportUnderTest {
  TempDir root = TempDir::create("/tmp", "cache").value();
  std::unique_ptr<CacheTransport> open() override {
    return std::make_unique<DirectoryTransport>(
        DirectoryTransport::Config{root.path() + "/cache", "latest"});
  }
};

struct RegistryUnderTest : TransportUnderTest {
  fake::FakeRegistry registry;
  std::unique_ptr<HttpClient> http = HttpClient::create("kiln-test");
  std::unique_ptr<CacheTransport> open() override {
    return must(RegistryTransport::open(
        {http.get(), nullptr}, must(oci::Reference::parse(registry.host() + "/team/app:cache")),
        RegistryTransport::Use::kWrite));
  }
};

struct KilnUnderTest : TransportUnderTest {
  TempDir root = TempDir::create("/tmp", "server").value();
  std::unique_ptr<server::RegistryServer> registry = must(server::RegistryServer::start(
      {"127.0.0.1", 0, root.path(), false, must(server::load_config("")), {}}));
  std::unique_ptr<HttpClient> http = HttpClient::create("kiln-test");
  std::unique_ptr<CacheTransport> open() override {
    const std::string host = "127.0.0.1:" + std::to_string(registry->port());
    return must(KilnTransport::open({http.get(), nullptr},
                                    must(oci::Reference::parse(host + "/team/app:cache")),
                                    RegistryTransport::Use::kWrite));
  }
};

struct TransportKind {
  const char* name;
  std::unique_ptr<TransportUnderTest> (*make)();
};

KeyRecord transported_record(const std::string& op) {
  KeyRecord record;
  record.op.add("op", op);
  return record;
}

class CacheTransportContract : public testing::TestWithParam<TransportKind> {
 protected:
  oci::Descriptor store(const std::string& bytes) {
    return {std::string(oci::media_type::kLayerTar),
            must(oci::write_blob(*content_, *lease_, bytes)),
            bytes.size(),
            std::nullopt,
            {}};
  }
  Publication publication(const std::string& op, const std::vector<oci::Descriptor>& blobs) {
    const KeyRecord record = transported_record(op);
    CacheResult result;
    for (const oci::Descriptor& blob : blobs) result.layers.push_back({blob, blob.digest});
    return {record.key(), encode_entry(ResultEntry{record, result}), blobs};
  }
  void upload(CacheTransport& to, const oci::Descriptor& blob) {
    must(to.upload(oci::blob_content(*content_, blob), {}));
  }
  static std::vector<std::optional<std::string>> look_up(CacheTransport& in,
                                                         const std::vector<CacheKey>& keys) {
    return must(in.lookup(keys, {}));
  }

  std::unique_ptr<TransportUnderTest> under_test_ = GetParam().make();
  TempDir root_ = TempDir::create("/tmp", "content").value();
  std::unique_ptr<Database> database_ = Database::open(root_.path() + "/kiln.db").value();
  std::unique_ptr<oci::Leases> leases_ =
      oci::Leases::open(*database_, root_.path() + "/leases").value();
  std::unique_ptr<oci::Lease> lease_ = leases_->acquire().value();
  std::unique_ptr<oci::LocalContentStore> content_ =
      oci::LocalContentStore::open(*database_, *leases_, root_.path() + "/content").value();
};

TEST_P(CacheTransportContract, WhatIsPublishedIsFoundElsewhere) {
  const oci::Descriptor one = store("layer one"), two = store(std::string(300'000, 'x'));
  const Publication a = publication("a", {one}), b = publication("b", {one, two});
  const auto writer = under_test_->open();
  upload(*writer, one);
  upload(*writer, two);
  must(writer->publish(std::vector{a, b}, {}));
  must(writer->finish({}));
  const auto reader = under_test_->open();
  const CacheKey absent = transported_record("absent").key();
  EXPECT_THAT(look_up(*reader, {b.key, absent, a.key}),
              ElementsAre(b.entry, std::nullopt, a.entry));
  StringSink bytes;
  must(reader->fetch(two, bytes, {}));
  EXPECT_EQ(bytes.data(), std::string(300'000, 'x'));
}

TEST_P(CacheTransportContract, TheFirstWriterWins) {
  const oci::Descriptor one = store("layer one"), two = store("layer two");
  const auto first = under_test_->open(), second = under_test_->open();
  upload(*first, one);
  must(first->publish(std::vector{publication("a", {one})}, {}));
  upload(*second, two);
  must(second->publish(std::vector{publication("a", {two}), publication("b", {two})}, {}));
  must(first->finish({}));
  must(second->finish({}));
  const auto reader = under_test_->open();
  EXPECT_THAT(look_up(*reader, {transported_record("a").key(), transported_record("b").key()}),
              ElementsAre(publication("a", {one}).entry, publication("b", {two}).entry));
}

// Cache mounts do; results of steps must not.
TEST_P(CacheTransportContract, TheLastWriterWinsWhereItReplaces) {
  const oci::Descriptor one = store("chunk one"), two = store("chunk two");
  const auto mount = [](const oci::Descriptor& blob) {
    const MountEntry entry{"/m", {{blob.digest, blob.size, blob}}};
    return Publication{mount_key("/m"), encode_mount(entry), {blob}, true};
  };
  const auto writer = under_test_->open();
  upload(*writer, one);
  upload(*writer, two);
  must(writer->publish(std::vector{mount(one), publication("b", {one})}, {}));
  must(writer->publish(std::vector{mount(two), publication("c", {two})}, {}));
  must(writer->finish({}));
  const auto reader = under_test_->open();
  const auto key = [](const char* op) { return transported_record(op).key(); };
  EXPECT_THAT(
      look_up(*reader, {mount_key("/m"), key("b"), key("c")}),
      ElementsAre(mount(two).entry, publication("b", {one}).entry, publication("c", {two}).entry));
}

TEST_P(CacheTransportContract, SaysWhatItDoesNotHave) {
  const oci::Descriptor one = store("layer one"), two = store("layer two");
  const auto transport = under_test_->open();
  upload(*transport, one);
  StringSink bytes;
  EXPECT_EQ(code_of(transport->fetch(two, bytes, {})), "not_found");
  oci::Descriptor gone = two;
  gone.digest = Digest::of("never stored");
  EXPECT_EQ(code_of(transport->upload(oci::blob_content(*content_, gone), {})), "not_found");
}

template <class T>
std::unique_ptr<TransportUnderTest> make_under_test() {
  return std::make_unique<T>();
}

INSTANTIATE_TEST_SUITE_P(
    Transports, CacheTransportContract,
    testing::Values(TransportKind{"directory", make_under_test<DirectoryUnderTest>},
                    TransportKind{"registry", make_under_test<RegistryUnderTest>},
                    TransportKind{"kiln", make_under_test<KilnUnderTest>}),
    [](const auto& transport) { return std::string(transport.param.name); });

// ---- what only directories have

TEST(DirectoryTransport, AResetDropsWhatIsNotPublishedAgain) {
  const TempDir root = TempDir::create("/tmp", "cache").value();
  const auto publish = [&](const char* op, DirectoryTransport::Reset reset) {
    DirectoryTransport transport({root.path() + "/c", "latest", reset});
    const KeyRecord record = transported_record(op);
    CacheResult empty;
    empty.empty_tree = true;
    must(transport.publish(
        std::vector{Publication{record.key(), encode_entry(ResultEntry{record, empty}), {}}}, {}));
    must(transport.finish({}));
  };
  publish("a", DirectoryTransport::Reset::kNo);
  publish("b", DirectoryTransport::Reset::kNo);
  must(write_file(root.path() + "/c/blobs/sha256/" + Digest::of("unused").hex(), "unused"));
  publish("b", DirectoryTransport::Reset::kYes);
  DirectoryTransport reader({root.path() + "/c", "latest"});
  const auto found = must(
      reader.lookup(std::vector{transported_record("a").key(), transported_record("b").key()}, {}));
  EXPECT_FALSE(found[0]);
  EXPECT_TRUE(found[1]);
  EXPECT_FALSE(must(exists(root.path() + "/c/blobs/sha256/" + Digest::of("unused").hex())));
}

TEST(DirectoryTransport, RefusesWhatIsNoCacheOfKiln) {
  const TempDir root = TempDir::create("/tmp", "cache").value();
  DirectoryTransport absent({root.path() + "/absent", "latest"});
  EXPECT_EQ(code_of(absent.lookup({}, {})), "not_found");
  must(write_file(root.path() + "/index.json", "{}"));
  DirectoryTransport layout({root.path(), "latest"});
  EXPECT_EQ(code_of(layout.lookup({}, {})), "failed_precondition");
  must(write_file(root.path() + "/kiln-cache", "2\n"));
  EXPECT_EQ(code_of(layout.lookup({}, {})), "failed_precondition");
}

}  // namespace
}  // namespace kiln::cache
