#include "base/database.h"

#include "base/fs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace kiln {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = dir_.path() + "/kiln.db";
    reopen();
    ASSERT_TRUE(database_->ensure_schema("test", 1, kSchema));
  }
  void reopen() {
    database_.reset();
    auto opened = Database::open(path_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    database_ = *std::move(opened);
  }
  Status put(std::string_view key, int64_t value) {
    auto insert = database_->prepare("INSERT OR REPLACE INTO t VALUES (?1, ?2)");
    if (!insert) return tl::unexpected(insert.error());
    return insert->bind(1, key).bind(2, value).run();
  }
  int64_t count() {
    auto query = database_->prepare("SELECT count(*) FROM t");
    return query && query->step().value_or(false) ? query->integer(0) : -1;
  }

  static constexpr std::string_view kSchema = "CREATE TABLE t(k TEXT PRIMARY KEY, v INTEGER)";
  TempDir dir_ = TempDir::create("/tmp", "database").value();
  std::string path_;
  std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, KeepsBytesAndNumbersAcrossReopening) {
  const std::string bytes("a\0b\xff", 4);
  {
    auto insert = database_->prepare("INSERT INTO t VALUES (?1, ?2)");
    ASSERT_TRUE(insert);
    ASSERT_TRUE(insert->bind_blob(1, bytes).bind(2, int64_t{1} << 60).run());
    EXPECT_EQ(database_->changes(), 1);
  }
  reopen();
  auto query = database_->prepare("SELECT k, v, NULL FROM t");
  ASSERT_TRUE(query && query->step().value());
  EXPECT_EQ(query->text(0), bytes);
  EXPECT_EQ(query->integer(1), int64_t{1} << 60);
  EXPECT_TRUE(query->is_null(2));
  EXPECT_FALSE(query->step().value());
}

TEST_F(DatabaseTest, AFailedWriteLeavesNothing) {
  const Status failed = database_->write([&]() -> Status {
    KILN_TRY(put("a", 1));
    return fail(Code::kInternal, "no");
  });
  EXPECT_EQ(failed.error().code(), Code::kInternal);
  EXPECT_EQ(count(), 0);
}

TEST_F(DatabaseTest, ANestedWriteJoinsTheOuterAndUndoesOnlyItself) {
  ASSERT_TRUE(database_->write([&]() -> Status {
    KILN_TRY(put("outer", 1));
    const Status inner = database_->write([&]() -> Status {
      KILN_TRY(put("inner", 1));
      return fail(Code::kInternal, "no");
    });
    EXPECT_FALSE(inner);
    return database_->write([&] { return put("second", 1); });
  }));
  EXPECT_EQ(count(), 2);
}

TEST_F(DatabaseTest, StatementsOfOneTextCanBeLiveAtOnce) {
  ASSERT_TRUE(put("a", 1));
  ASSERT_TRUE(put("b", 2));
  auto first = database_->prepare("SELECT k FROM t ORDER BY k");
  auto second = database_->prepare("SELECT k FROM t ORDER BY k");
  ASSERT_TRUE(first && second && first->step().value() && second->step().value());
  ASSERT_TRUE(first->step().value());
  EXPECT_EQ(first->text(0), "b");
  EXPECT_EQ(second->text(0), "a");
}

TEST_F(DatabaseTest, ManyThreadsAndTwoOpenersWriteWithoutLosingARow) {
  auto other = Database::open(path_).value();
  std::atomic<int> failures = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      Database& database = t % 2 == 0 ? *database_ : *other;
      for (int i = 0; i < 20; ++i) {
        const Status done = database.write([&]() -> Status {
          KILN_TRY_ASSIGN(auto insert, database.prepare("INSERT INTO t VALUES (?1, 0)"));
          return insert.bind(1, std::to_string(t * 100 + i)).run();
        });
        if (!done) ++failures;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(count(), 120);
}

TEST_F(DatabaseTest, ReadersSeeTheStateBeforeAnOpenTransaction) {
  ASSERT_TRUE(database_->write([&]() -> Status {
    KILN_TRY(put("a", 1));
    std::jthread([&] { EXPECT_EQ(count(), 0); }).join();
    return {};
  }));
  EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, ASchemaRunsOnceAndANewerOneIsRefused) {
  EXPECT_TRUE(database_->ensure_schema("test", 1, kSchema));
  const Status older = database_->ensure_schema("test", 0, kSchema);
  EXPECT_EQ(older.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(older.error().advice(), testing::HasSubstr("newer kiln"));
}

TEST_F(DatabaseTest, AnUpgradeGetsTheVersionFoundAndRunsOnce) {
  int calls = 0;
  const auto upgrade = [&](int found) {
    ++calls;
    EXPECT_EQ(found, 1);
    return database_->execute("ALTER TABLE t ADD COLUMN w INTEGER");
  };
  ASSERT_TRUE(database_->ensure_schema("test", 2, kSchema, upgrade));
  ASSERT_TRUE(database_->ensure_schema("test", 2, kSchema, upgrade));
  EXPECT_EQ(calls, 1);
}

TEST_F(DatabaseTest, AFailedUpgradeKeepsTheOldVersion) {
  ASSERT_FALSE(database_->ensure_schema("test", 2, kSchema, [&](int) -> Status {
    KILN_TRY(put("half", 1));
    return fail(Code::kInternal, "no");
  }));
  EXPECT_EQ(count(), 0);
  EXPECT_TRUE(database_->ensure_schema("test", 1, kSchema));
}

TEST_F(DatabaseTest, AWrongStatementIsAnErrorAndHoldsNoConnection) {
  EXPECT_FALSE(database_->prepare("SELEKT 1"));
  EXPECT_FALSE(database_->prepare(""));
  auto duplicate = [&] { return database_->execute("INSERT INTO t VALUES ('k', 1)"); };
  EXPECT_TRUE(duplicate());
  EXPECT_EQ(duplicate().error().code(), Code::kAlreadyExists);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsDataLoss) {
  const std::string path = dir_.path() + "/garbage.db";
  ASSERT_TRUE(write_file(path, std::string(8192, 'x')));
  auto opened = Database::open(path);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kDataLoss);
}

TEST_F(DatabaseTest, ALargeLogIsFoldedInOnClosing) {
  ASSERT_TRUE(database_->write([&]() -> Status {
    for (int i = 0; i < 20; ++i) {
      KILN_TRY_ASSIGN(auto insert, database_->prepare("INSERT INTO t VALUES (?1, 0)"));
      KILN_TRY(insert.bind(1, std::to_string(i) + std::string(100'000, 'x')).run());
    }
    return {};
  }));
  reopen();
  EXPECT_EQ(count(), 20);
  struct stat wal {};
  ASSERT_EQ(::stat((path_ + "-wal").c_str(), &wal), 0);
  EXPECT_EQ(wal.st_size, 0);
}

}  // namespace
}  // namespace kiln
