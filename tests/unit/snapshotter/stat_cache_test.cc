#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>

#include "snapshotter/tree_hash.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;

struct stat stat_with(ino_t inode, time_t mtime = 1000, time_t ctime = 1000) {
  struct stat st {};
  st.st_dev = 1;
  st.st_ino = inode;
  st.st_size = 10;
  st.st_mtim = {mtime, 5};
  st.st_ctim = {ctime, 6};
  return st;
}

class StatCacheTest : public testing::Test {
 protected:
  TempDir temp_ = must(TempDir::create("/tmp", "stat-cache-"));
  std::string file_ = temp_.path() + "/cache";
  Digest digest_ = Digest::of("x");

  void save_three() {
    const auto cache = StatCache::open(file_);
    for (ino_t inode : {30, 10, 20}) cache->insert(stat_with(inode), digest_);
    must(cache->save());
  }
};

TEST_F(StatCacheTest, FindsWhatWasSaved) {
  save_three();
  const auto cache = StatCache::open(file_);
  for (ino_t inode : {10, 20, 30}) EXPECT_EQ(cache->find(stat_with(inode)), digest_);
  EXPECT_FALSE(cache->find(stat_with(15)));
}

TEST_F(StatCacheTest, FindsWhatWasJustInserted) {
  const auto cache = StatCache::open(file_);
  cache->insert(stat_with(1), digest_);
  EXPECT_EQ(cache->find(stat_with(1)), digest_);
}

TEST_F(StatCacheTest, AnyChangeOfTheFileIsAMiss) {
  save_three();
  const auto cache = StatCache::open(file_);
  struct stat st = stat_with(10);
  st.st_dev = 2;
  EXPECT_FALSE(cache->find(st));
  st = stat_with(10);
  st.st_size = 11;
  EXPECT_FALSE(cache->find(st));
  st = stat_with(10);
  st.st_mtim.tv_nsec = 7;
  EXPECT_FALSE(cache->find(st));
  st = stat_with(10);
  st.st_ctim.tv_nsec = 7;
  EXPECT_FALSE(cache->find(st));
  EXPECT_FALSE(cache->find(stat_with(10, 1001)));
  EXPECT_FALSE(cache->find(stat_with(10, 1000, 1001)));
}

TEST_F(StatCacheTest, DoesNotKeepFilesThatChangedJustBeforeTheyWereRead) {
  const time_t now = std::time(nullptr);
  const auto cache = StatCache::open(file_);
  cache->insert(stat_with(1, now, 1000), digest_);
  cache->insert(stat_with(2, 1000, now), digest_);
  cache->insert(stat_with(3, now + 100, 1000), digest_);
  for (ino_t inode : {1, 2, 3}) EXPECT_FALSE(cache->find(stat_with(inode)));
}

TEST_F(StatCacheTest, ForgetsWhatNobodyAsksFor) {
  save_three();
  {
    const auto cache = StatCache::open(file_);
    EXPECT_TRUE(cache->find(stat_with(10)));
    must(cache->save());
  }
  const auto cache = StatCache::open(file_);
  EXPECT_TRUE(cache->find(stat_with(10)));
  EXPECT_FALSE(cache->find(stat_with(20)));
}

TEST_F(StatCacheTest, WritesNothingWithoutNews) {
  save_three();
  struct stat before {};
  ASSERT_EQ(::stat(file_.c_str(), &before), 0);
  const auto cache = StatCache::open(file_);
  for (ino_t inode : {10, 20, 30}) EXPECT_TRUE(cache->find(stat_with(inode)));
  must(cache->save());
  struct stat after {};
  ASSERT_EQ(::stat(file_.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(StatCacheTest, KnowsSelectionsAgain) {
  const Digest key = Digest::of("key");
  {
    const auto cache = StatCache::open(file_);
    EXPECT_FALSE(cache->find_selection(key));
    cache->insert_selection(key, digest_, 3);
    must(cache->save());
  }
  EXPECT_EQ(StatCache::open(file_)->find_selection(key), digest_);
  EXPECT_FALSE(StatCache::open(file_)->find_selection(digest_));
}

TEST_F(StatCacheTest, ForgetsTheSelectionsThatWereAskedForLeast) {
  const auto key = [](int i) { return Digest::of(std::to_string(i)); };
  const auto cache = StatCache::open(file_);
  for (int i = 0; i < 64; ++i) cache->insert_selection(key(i), digest_, 1);
  EXPECT_TRUE(cache->find_selection(key(0)));
  cache->insert_selection(key(64), digest_, 1);
  must(cache->save());
  const auto again = StatCache::open(file_);
  EXPECT_TRUE(again->find_selection(key(0)));
  EXPECT_FALSE(again->find_selection(key(1)));
  EXPECT_TRUE(again->find_selection(key(64)));
}

TEST_F(StatCacheTest, KeepsTheFilesOfAKnownSelectionThatNobodyAskedFor) {
  const Digest key = Digest::of("key");
  save_three();
  {
    const auto cache = StatCache::open(file_);
    cache->insert_selection(key, digest_, 3);
    EXPECT_TRUE(cache->find(stat_with(10)));
    EXPECT_TRUE(cache->find(stat_with(20)));
    must(cache->save());
  }
  {
    const auto cache = StatCache::open(file_);
    EXPECT_TRUE(cache->find_selection(key));
    cache->insert(stat_with(10, 1500), Digest::of("y"));  // in the place of the one before
    must(cache->save());
  }
  const auto cache = StatCache::open(file_);
  EXPECT_EQ(cache->find(stat_with(10, 1500)), Digest::of("y"));
  EXPECT_FALSE(cache->find(stat_with(10)));
  EXPECT_TRUE(cache->find(stat_with(30)));
}

TEST_F(StatCacheTest, TornAndFlippedSelectionsAreNone) {
  const Digest key = Digest::of("key");
  const auto cache = StatCache::open(file_);
  cache->insert_selection(key, digest_, 3);
  must(cache->save());
  const std::string name = file_ + ".selections";
  const std::string good = must(read_file(name, 100'000));
  for (size_t at = 0; at < good.size(); ++at) {
    must(write_file(name, good.substr(0, at)));
    EXPECT_FALSE(StatCache::open(file_)->find_selection(key)) << at;
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    must(write_file(name, bad));
    EXPECT_FALSE(StatCache::open(file_)->find_selection(key)) << at;
  }
}

TEST_F(StatCacheTest, TornFlippedAndForeignFilesAreEmptyCaches) {
  save_three();
  const std::string good = must(read_file(file_, 100'000));
  for (size_t length = 0; length < good.size(); length += 13) {
    must(write_file(file_, good.substr(0, length)));
    EXPECT_FALSE(StatCache::open(file_)->find(stat_with(10))) << length;
  }
  for (size_t at = 0; at < good.size(); at += 7) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    must(write_file(file_, bad));
    EXPECT_FALSE(StatCache::open(file_)->find(stat_with(10))) << at;
  }
}

TEST_F(StatCacheTest, AnUnwritablePlaceIsAnErrorOfSaveOnly) {
  const auto cache = StatCache::open(temp_.path() + "/no/such/directory/cache");
  cache->insert(stat_with(1), digest_);
  EXPECT_EQ(fake::code_of(cache->save()), "not_found");
}

}  // namespace
}  // namespace kiln
