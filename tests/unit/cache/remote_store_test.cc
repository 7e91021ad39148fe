#include "cache/remote_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"
#include "cache/patient_transport.h"
#include "oci/local_content_store.h"
#include "tests/fakes/fake_transport.h"
#include "tests/fakes/must.h"

namespace kiln::cache {
namespace {

using fake::code_of;
using fake::must;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

KeyRecord remote_record(const std::string& op) {
  KeyRecord record;
  record.op.add("op", op);
  record.name = "RUN " + op;
  return record;
}

oci::LayerBlob remote_layer(const std::string& bytes) {
  return {oci::Descriptor{std::string(oci::media_type::kLayerTar),
                          Digest::of(bytes),
                          bytes.size(),
                          std::nullopt,
                          {}},
          Digest::of("tar of " + bytes)};
}

/// In the words of a log: "+name", "what done/total", "=" for the end; "!" if it failed.
class RecordedEvents : public ProgressSink {
 public:
  void on_event(const Event& event) noexcept override {
    const std::lock_guard hold(mutex_);
    if (const auto* started = std::get_if<VertexStarted>(&event))
      lines.push_back("+" + started->name);
    if (const auto* moved = std::get_if<Transfer>(&event))
      lines.push_back(std::to_string(moved->done) + "/" + std::to_string(moved->total) +
                      (moved->complete ? " complete" : ""));
    if (const auto* done = std::get_if<VertexDone>(&event))
      lines.emplace_back(done->outcome == VertexOutcome::kDone ? "=" : "!");
  }
  std::vector<std::string> lines;

 private:
  std::mutex mutex_;
};

class RemoteStoreTest : public testing::Test {
 protected:
  std::unique_ptr<RemoteCacheStore> open() {
    return std::make_unique<RemoteCacheStore>(RemoteCacheStore::Config{
        patient_, &layers_, [this](const Error& error) { lost_.push_back(error.to_string()); },
        stop_.get_token()});
  }
  /// An entry with one layer, which is there too.
  CacheKey add(const std::string& op) {
    const KeyRecord record = remote_record(op);
    CacheResult result;
    result.layers = {remote_layer("layer of " + op)};
    result.layer_times = {std::chrono::sys_seconds(std::chrono::seconds(7))};
    transport_->entries[record.key()] = encode_entry(ResultEntry{record, result});
    transport_->blobs[Digest::of("layer of " + op)] = "layer of " + op;
    return record.key();
  }

  TempDir root_ = TempDir::create("/tmp", "remote").value();
  std::unique_ptr<Database> database_ = Database::open(root_.path() + "/kiln.db").value();
  std::unique_ptr<oci::Leases> leases_ =
      oci::Leases::open(*database_, root_.path() + "/leases").value();
  std::unique_ptr<oci::Lease> lease_ = leases_->acquire().value();
  std::unique_ptr<oci::LocalContentStore> content_ =
      oci::LocalContentStore::open(*database_, *leases_, root_.path() + "/content").value();
  std::shared_ptr<fake::FakeTransport> transport_ = std::make_shared<fake::FakeTransport>();
  std::shared_ptr<Patience> patience_ = std::make_shared<Patience>(50ms);
  std::shared_ptr<PatientTransport> patient_ =
      std::make_shared<PatientTransport>(PatientTransport::Config{transport_, patience_});
  RecordedEvents events_;
  RemoteLayers layers_{*content_, *lease_, events_};
  std::stop_source stop_;
  std::vector<std::string> lost_;
};

TEST_F(RemoteStoreTest, FindsResultsAndAliases) {
  const CacheKey key = add("a");
  const KeyRecord fast = remote_record("fast");
  transport_->entries[fast.key()] = encode_entry(AliasEntry{fast, key});
  const auto store = open();
  EXPECT_EQ(must(store->find_alias(fast.key())), key);
  const auto result = must(store->find(key));
  ASSERT_TRUE(result);
  EXPECT_THAT(result->layers, ElementsAre(remote_layer("layer of a")));
  EXPECT_EQ(result->layer_times.at(0).time_since_epoch(), 7s);
  EXPECT_FALSE(must(store->find(fast.key())));  // an alias is no result
  EXPECT_FALSE(must(store->find_alias(key)));
}

TEST_F(RemoteStoreTest, AsksForAllAnnouncedKeysAtOnceAndForEachOnce) {
  const CacheKey a = add("a"), b = add("b"), absent = remote_record("absent").key();
  const auto store = open();
  for (const CacheKey& key : {a, b, absent}) store->announce(key);
  EXPECT_TRUE(must(store->find(b)));
  EXPECT_TRUE(must(store->find(a)));
  EXPECT_FALSE(must(store->find(absent)));
  EXPECT_FALSE(must(store->find(absent)));
  ASSERT_THAT(transport_->requests, SizeIs(1));
  EXPECT_THAT(transport_->requests[0], UnorderedElementsAre(a, b, absent));
}

TEST_F(RemoteStoreTest, TakesNothingThatDoesNotVerify) {
  const CacheKey good = add("good");
  const std::string bytes = transport_->entries[good];
  const CacheKey other = remote_record("other").key(), torn = remote_record("torn").key(),
                 huge = remote_record("huge").key();
  transport_->entries[other] = bytes;  // of another key
  transport_->entries[torn] = bytes.substr(0, bytes.size() - 9);
  transport_->entries[huge] = std::string(kMaxEntryBytes + 1, 'x');
  CacheResult local;
  local.local_ref = "12";
  const KeyRecord no_layers = remote_record("no layers");
  transport_->entries[no_layers.key()] = encode_entry(ResultEntry{no_layers, local});
  const auto store = open();
  for (const CacheKey& key : {other, torn, huge, no_layers.key()})
    EXPECT_FALSE(must(store->find(key)));
  EXPECT_TRUE(must(store->find(good)));
  EXPECT_THAT(lost_, SizeIs(0));
}

TEST_F(RemoteStoreTest, IsLeftAloneAfterAFailureWithOneWarning) {
  const CacheKey key = add("a");
  transport_->broken = true;
  const auto store = open();
  EXPECT_FALSE(must(store->find(key)));
  EXPECT_FALSE(must(store->find(remote_record("b").key())));
  EXPECT_THAT(transport_->requests, SizeIs(1));
  EXPECT_THAT(lost_, ElementsAre(HasSubstr("connection refused")));
}

TEST_F(RemoteStoreTest, IsLeftAloneWhenItDoesNotAnswer) {
  transport_->hangs = true;
  const auto store = open();
  EXPECT_FALSE(must(store->find(add("a"))));
  EXPECT_TRUE(store->lost());
  EXPECT_THAT(lost_, ElementsAre(HasSubstr("kept the build waiting")));
}

// What it said of layers is of no use if they would not come.
TEST_F(RemoteStoreTest, IsLeftAloneIfItsServerIs) {
  const auto store = open();
  const CacheResult found = must(store->find(add("a"))).value();
  EXPECT_TRUE(must(layers_.can_fetch(found.layers)));
  patience_->give_up(Error(Code::kUnavailable, "another use of it hung"));
  EXPECT_FALSE(must(store->find(add("b"))));
  EXPECT_TRUE(store->lost());
  EXPECT_FALSE(must(layers_.can_fetch(found.layers)));
  EXPECT_THAT(transport_->requests, SizeIs(1));
  EXPECT_THAT(lost_, SizeIs(0)) << "who found out says so";
}

TEST_F(RemoteStoreTest, AStopEndsALookupWithoutAWarning) {
  transport_->hangs = true;
  const auto store = open();
  stop_.request_stop();
  EXPECT_FALSE(must(store->find(add("a"))));
  EXPECT_THAT(lost_, SizeIs(0));
}

TEST_F(RemoteStoreTest, FetchesLayersThatWereFoundAndAreNotHere) {
  const auto store = open();
  const CacheResult found = must(store->find(add("a"))).value();
  EXPECT_TRUE(must(layers_.can_fetch(found.layers)));
  EXPECT_FALSE(must(layers_.can_fetch(std::vector{remote_layer("never found")})));
  must(layers_.fetch(found.layers, {}));
  must(layers_.fetch(found.layers, {}));
  EXPECT_EQ(transport_->fetches, 1);
  EXPECT_EQ(must(oci::read_blob(*content_, Digest::of("layer of a"), 100)), "layer of a");
  EXPECT_THAT(layers_.failed(), SizeIs(0));
  EXPECT_THAT(events_.lines,
              ElementsAre("+fetching layers from fake cache", "10/10", "10/10 complete", "="));
}

TEST_F(RemoteStoreTest, TellsWhatDidNotKeepItsWord) {
  struct Row {
    const char* name;
    std::function<void(std::string& blob)> harm;
    const char* code;
  };
  const std::vector<Row> rows = {
      {"other bytes", [](std::string& blob) { blob[0] = 'X'; }, "data_loss"},
      {"too many bytes", [](std::string& blob) { blob += "more"; }, "data_loss"},
      {"too few bytes", [](std::string& blob) { blob.pop_back(); }, "data_loss"},
  };
  for (const Row& row : rows) {
    RemoteLayers layers(*content_, *lease_, events_);
    const std::string bytes = std::string("blob for ") + row.name;
    const std::vector<oci::LayerBlob> wanted = {remote_layer(bytes)};
    transport_->blobs[Digest::of(bytes)] = bytes;
    row.harm(transport_->blobs[Digest::of(bytes)]);
    layers.announce(wanted, transport_);
    EXPECT_EQ(code_of(layers.fetch(wanted, {})), row.code) << row.name;
    EXPECT_THAT(layers.failed(), ElementsAre(transport_)) << row.name;
    EXPECT_FALSE(must(layers.can_fetch(wanted))) << row.name;
  }
}

TEST_F(RemoteStoreTest, ATransferThatStandsStillEnds) {
  const std::vector<oci::LayerBlob> wanted = {remote_layer("x")};
  layers_.announce(wanted, patient_);
  transport_->hangs = true;
  EXPECT_EQ(code_of(layers_.fetch(wanted, {})), "unavailable");
  EXPECT_THAT(layers_.failed(), ElementsAre(patient_));
  EXPECT_THAT(events_.lines, ElementsAre("+fetching layers from fake cache", "!"));
}

TEST_F(RemoteStoreTest, OneTransportsFailureIsNotAnothers) {
  const auto other = std::make_shared<fake::FakeTransport>();
  other->blobs[Digest::of("there")] = "there";
  const std::vector<oci::LayerBlob> gone = {remote_layer("gone")}, there = {remote_layer("there")};
  layers_.announce(gone, transport_);
  layers_.announce(there, other);
  EXPECT_EQ(code_of(layers_.fetch(gone, {})), "not_found");
  EXPECT_THAT(layers_.failed(), ElementsAre(transport_));
  must(layers_.fetch(there, {}));
}

}  // namespace
}  // namespace kiln::cache
