#include "cache/local_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/fs.h"

namespace kiln {
namespace {

class LocalCacheStoreTest : public testing::Test {
 protected:
  std::unique_ptr<LocalCacheStore> open(const oci::Lease& lease) {
    return LocalCacheStore::open(*database_, lease, root_.path() + "/keys").value();
  }
  static KeyRecord record(const std::string& op) {
    KeyRecord made;
    made.op.add("op", op);
    made.name = "RUN " + op;
    return made;
  }
  static CacheResult result(const std::string& ref) {
    CacheResult made;
    made.local_ref = ref;
    return made;
  }
  int64_t number(const std::string& sql) {
    auto query = database_->prepare(sql).value();
    return query.step().value() ? query.integer(0) : -1;
  }

  TempDir root_ = TempDir::create("/tmp", "cache").value();
  std::unique_ptr<Database> database_ = Database::open(root_.path() + "/kiln.db").value();
  std::unique_ptr<oci::Leases> leases_ =
      oci::Leases::open(*database_, root_.path() + "/leases").value();
  std::unique_ptr<oci::Lease> lease_ = leases_->acquire().value();
  std::unique_ptr<LocalCacheStore> store_ = open(*lease_);
};

TEST_F(LocalCacheStoreTest, DropsATornRecordAndMisses) {
  for (const char* column : {"record", "result"}) {
    ASSERT_TRUE(store_->save(record("a"), result("x")));
    ASSERT_TRUE(database_->execute(std::string("UPDATE cache_records SET ") + column +
                                   " = substr(" + column + ", 1, 20)"));
    EXPECT_FALSE(store_->find(record("a").key()).value()) << column;
    EXPECT_EQ(number("SELECT count(*) FROM cache_records"), 0) << column;
  }
}

TEST_F(LocalCacheStoreTest, MissesARecordUnderAnotherKey) {
  ASSERT_TRUE(store_->save(record("a"), result("x")));
  ASSERT_TRUE(database_->execute("UPDATE cache_records SET key = '" +
                                 record("b").key().digest.hex() + "'"));
  EXPECT_FALSE(store_->find(record("b").key()).value());
}

TEST_F(LocalCacheStoreTest, MissesAResultOfAnotherKey) {
  ASSERT_TRUE(store_->save(record("a"), result("a")));
  ASSERT_TRUE(store_->save(record("b"), result("b")));
  ASSERT_TRUE(database_->execute(
      "UPDATE cache_records SET result = (SELECT result FROM cache_records WHERE name = 'RUN b')"));
  EXPECT_FALSE(store_->find(record("a").key()).value());
  EXPECT_TRUE(store_->find(record("b").key()).value());
}

TEST_F(LocalCacheStoreTest, MissesATornAlias) {
  ASSERT_TRUE(store_->save_alias(record("fast"), record("a").key()));
  ASSERT_TRUE(database_->execute("UPDATE cache_aliases SET alias = substr(alias, 1, 40)"));
  EXPECT_FALSE(store_->find_alias(record("fast").key()).value());
}

TEST_F(LocalCacheStoreTest, StampsWhatItFindsOnceForALease) {
  ASSERT_TRUE(store_->save(record("a"), result("x")));
  const auto later = leases_->acquire().value();
  const auto other = open(*later);
  ASSERT_TRUE(other->find(record("a").key()).value());
  ASSERT_TRUE(other->find(record("a").key()).value());
  EXPECT_EQ(number("SELECT used_seq FROM cache_records"), static_cast<int64_t>(later->sequence()));
  EXPECT_EQ(number("SELECT uses FROM cache_records"), 1);
}

TEST_F(LocalCacheStoreTest, KeepsTheStampOfAYoungerLease) {
  const auto later = leases_->acquire().value();
  ASSERT_TRUE(open(*later)->save(record("a"), result("x")));
  ASSERT_TRUE(store_->find(record("a").key()).value());
  ASSERT_TRUE(store_->save(record("a"), result("y")));
  EXPECT_EQ(number("SELECT used_seq FROM cache_records"), static_cast<int64_t>(later->sequence()));
}

TEST_F(LocalCacheStoreTest, RemovesOnlyWhatNoLiveLeaseUses) {
  ASSERT_TRUE(store_->save(record("old"), result("x")));
  ASSERT_TRUE(store_->save(record("used"), result("y")));
  ASSERT_TRUE(store_->save_alias(record("fast"), record("old").key()));
  ASSERT_TRUE(store_->save_alias(record("kept"), record("used").key()));
  lease_ = leases_->acquire().value();
  const auto user = open(*lease_);
  ASSERT_TRUE(user->find(record("used").key()).value());
  ASSERT_TRUE(
      user->remove({record("old").key(), record("used").key()}, leases_->oldest_live().value()));
  EXPECT_FALSE(user->find(record("old").key()).value());
  EXPECT_TRUE(user->find(record("used").key()).value());
  EXPECT_FALSE(user->find_alias(record("fast").key()).value());
  EXPECT_TRUE(user->find_alias(record("kept").key()).value());
}

TEST_F(LocalCacheStoreTest, TellsTheHistoryOfAStepNewestFirst) {
  KeyRecord first = record("a"), second = record("b"), other = record("c");
  first.name = second.name = "[2/2] RUN make";
  ASSERT_TRUE(store_->save(first, result("x")));
  ASSERT_TRUE(store_->save(second, result("y")));
  ASSERT_TRUE(store_->save(other, result("z")));
  EXPECT_EQ(store_->similar("[2/2] RUN make", 10).value(), (std::vector{second, first}));
  EXPECT_EQ(store_->similar("[2/2] RUN make", 1).value().size(), 1U);
  // In another place, with more steps around it; and another instruction in its place.
  EXPECT_EQ(store_->similar("[3/9] RUN make", 10).value(), (std::vector{second, first}));
  EXPECT_EQ(store_->similar("[2/9] RUN make all", 10).value(), (std::vector{second, first}));
  EXPECT_TRUE(store_->similar("[3/9] RUN make all", 10).value().empty());
  EXPECT_EQ(store_->list().value().size(), 3U);
  EXPECT_EQ(store_->record(first.key()).value(), first);
}

TEST_F(LocalCacheStoreTest, LeavesNoLockFiles) {
  { const auto lock = store_->lock(record("a").key(), {}).value(); }
  EXPECT_TRUE(std::filesystem::is_empty(root_.path() + "/keys"));
}

}  // namespace
}  // namespace kiln
