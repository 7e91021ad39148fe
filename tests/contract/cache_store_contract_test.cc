// What every CacheStore promises (cache/store.h).
#include "cache/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/fs.h"
#include "cache/local_store.h"
#include "tests/fakes/fake_cache_store.h"

namespace kiln {
namespace {

struct CacheStoreUnderTest {
  virtual ~CacheStoreUnderTest() = default;
  virtual CacheStore& store() = 0;
};

struct LocalUnderTest : CacheStoreUnderTest {
  TempDir root = TempDir::create("/tmp", "cache").value();
  std::unique_ptr<Database> database = Database::open(root.path() + "/kiln.db").value();
  std::unique_ptr<oci::Leases> leases =
      oci::Leases::open(*database, root.path() + "/leases").value();
  std::unique_ptr<oci::Lease> lease = leases->acquire().value();
  std::unique_ptr<LocalCacheStore> cache =
      LocalCacheStore::open(*database, *lease, root.path() + "/keys").value();
  CacheStore& store() override { return *cache; }
};

struct FakeUnderTest : CacheStoreUnderTest {
  fake::FakeCacheStore cache;
  CacheStore& store() override { return cache; }
};

struct Implementation {
  const char* name;
  std::unique_ptr<CacheStoreUnderTest> (*make)();
};

class CacheStoreContract : public testing::TestWithParam<Implementation> {
 protected:
  std::unique_ptr<CacheStoreUnderTest> under_test_ = GetParam().make();
  CacheStore& store_ = under_test_->store();
};

KeyRecord record_of(const std::string& op) {
  KeyRecord record;
  record.op.add("op", op);
  record.inputs = {{InputKey::Kind::kContent, Digest::of("input"), "/src"}};
  record.name = "RUN " + op;
  return record;
}

CacheResult result_of(const std::string& ref) {
  CacheResult result;
  result.local_ref = ref;
  oci::LayerBlob layer{oci::Descriptor{"application/x",
                                       Digest::of("blob"),
                                       12,
                                       Platform{"linux", "arm", "v7"},
                                       {{"name", "value"}}},
                       Digest::of("tar")};
  result.layers = {layer, layer};
  result.created = decltype(result.created)(std::chrono::nanoseconds(1234567890123456789));
  return result;
}

TEST_P(CacheStoreContract, FindsWhatWasSaved) {
  ASSERT_TRUE(store_.save(record_of("a"), result_of("snapshot")));
  const auto found = store_.find(record_of("a").key()).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->local_ref, "snapshot");
  EXPECT_FALSE(found->empty_tree);
  EXPECT_EQ(found->layers, result_of("").layers);
  EXPECT_EQ(found->created, result_of("").created);
}

TEST_P(CacheStoreContract, KeepsThatAResultIsEmpty) {
  CacheResult empty;
  empty.empty_tree = true;
  ASSERT_TRUE(store_.save(record_of("a"), empty));
  const auto found = store_.find(record_of("a").key()).value();
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->empty_tree);
  EXPECT_TRUE(found->layers.empty());
}

TEST_P(CacheStoreContract, MissesWhatWasNotSaved) {
  ASSERT_TRUE(store_.save(record_of("a"), result_of("x")));
  EXPECT_FALSE(store_.find(record_of("b").key()).value());
  EXPECT_FALSE(store_.find_alias(record_of("a").key()).value());
}

TEST_P(CacheStoreContract, ReplacesAnEarlierResult) {
  ASSERT_TRUE(store_.save(record_of("a"), result_of("one")));
  ASSERT_TRUE(store_.save(record_of("a"), result_of("two")));
  EXPECT_EQ(store_.find(record_of("a").key()).value()->local_ref, "two");
}

TEST_P(CacheStoreContract, ForgetsARecord) {
  ASSERT_TRUE(store_.save(record_of("a"), result_of("x")));
  ASSERT_TRUE(store_.forget(record_of("a").key()));
  EXPECT_FALSE(store_.find(record_of("a").key()).value());
  EXPECT_TRUE(store_.forget(record_of("a").key()));
}

TEST_P(CacheStoreContract, FindsTheLastTargetOfAnAlias) {
  ASSERT_TRUE(store_.save_alias(record_of("fast"), record_of("a").key()));
  ASSERT_TRUE(store_.save_alias(record_of("fast"), record_of("b").key()));
  EXPECT_EQ(store_.find_alias(record_of("fast").key()).value(), record_of("b").key());
}

TEST_P(CacheStoreContract, LocksOneHolderAtATime) {
  std::atomic<int> inside = 0, most = 0;
  const auto work = [&] {
    for (int i = 0; i < 20; ++i) {
      const auto lock = store_.lock(record_of("a").key(), {}).value();
      most = std::max(most.load(), ++inside);
      std::this_thread::yield();
      --inside;
    }
  };
  std::thread one(work), two(work), three(work);
  one.join();
  two.join();
  three.join();
  EXPECT_EQ(most, 1);
}

TEST_P(CacheStoreContract, DoesNotLetKeysWaitForEachOther) {
  const auto a = store_.lock(record_of("a").key(), {}).value();
  EXPECT_TRUE(store_.lock(record_of("b").key(), {}));
}

TEST_P(CacheStoreContract, StopsWaitingForALock) {
  const auto held = store_.lock(record_of("a").key(), {}).value();
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  const auto second = store_.lock(record_of("a").key(), stop.get_token());
  stopper.join();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(
    All, CacheStoreContract,
    testing::Values(Implementation{"Local",
                                   []() -> std::unique_ptr<CacheStoreUnderTest> {
                                     return std::make_unique<LocalUnderTest>();
                                   }},
                    Implementation{"Fake",
                                   []() -> std::unique_ptr<CacheStoreUnderTest> {
                                     return std::make_unique<FakeUnderTest>();
                                   }}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace kiln
