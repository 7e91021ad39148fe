#include "cache/prune.h"

#include <gtest/gtest.h>

#include <string>

namespace kiln {
namespace {

using std::chrono::hours;

CacheKey key(const std::string& name) {
  return CacheKey{Digest::of(name)};
}

class PruneTest : public testing::Test {
 protected:
  void record(const std::string& name, const std::string& tree, int used_hours_ago) {
    records_.push_back({key(name), tree, now_ - hours(used_hours_ago)});
    names_.push_back(name);
  }
  // The victims' names, then the bytes freed.
  std::string plan(PruneOptions options) {
    options.now = now_;
    const PrunePlan plan = plan_prune(records_, trees_, options);
    std::string text;
    for (const CacheKey& victim : plan.victims)
      for (const std::string& name : names_)
        if (key(name) == victim) text += name + " ";
    return text + std::to_string(plan.freed_bytes);
  }
  const std::chrono::sys_time<std::chrono::nanoseconds> now_{hours(1000)};
  std::vector<PruneRecord> records_;
  std::vector<StoredTree> trees_;
  std::vector<std::string> names_;
};

TEST_F(PruneTest, TakesAllWithoutLimits) {
  trees_ = {{"t1", "", 10}, {"t2", "t1", 20}};
  record("a", "t1", 1);
  record("b", "t2", 2);
  EXPECT_EQ(plan({}), "b a 30");
}

TEST_F(PruneTest, TakesTheLeastRecentlyUsedUntilTheRestFits) {
  trees_ = {{"t1", "", 10}, {"t2", "", 20}, {"t3", "", 30}};
  record("new", "t1", 1);
  record("old", "t2", 3);
  record("middle", "t3", 2);
  EXPECT_EQ(plan({.keep_bytes = 40}), "old 20");
  EXPECT_EQ(plan({.keep_bytes = 39}), "old middle 50");
  EXPECT_EQ(plan({.keep_bytes = 60}), "0");
}

TEST_F(PruneTest, TakesOnlyWhatIsUnusedForLongEnough) {
  trees_ = {{"t1", "", 10}, {"t2", "", 20}};
  record("a", "t1", 1);
  record("b", "t2", 48);
  EXPECT_EQ(plan({.unused_for = hours(48)}), "b 20");
  EXPECT_EQ(plan({.unused_for = hours(24), .keep_bytes = 0}), "b 20");
}

TEST_F(PruneTest, CountsATreeAsUsedWhenOneAboveItIs) {
  trees_ = {{"base", "", 100}, {"top", "base", 1}, {"other", "", 7}};
  record("base", "base", 90);
  record("top", "top", 1);
  record("other", "other", 50);
  EXPECT_EQ(plan({.unused_for = hours(24)}), "other 7");
  EXPECT_EQ(plan({.keep_bytes = 101}), "other 7");
}

TEST_F(PruneTest, TakesTheTopOfATreeFirst) {
  trees_ = {{"base", "", 100}, {"top", "base", 1}};
  record("base", "base", 5);
  record("top", "top", 5);
  EXPECT_EQ(plan({.keep_bytes = 100}), "top 1");
}

TEST_F(PruneTest, FreesATreeWithItsLastRecord) {
  trees_ = {{"t", "", 10}};
  record("a", "t", 1);
  record("b", "t", 2);
  EXPECT_EQ(plan({.keep_bytes = 5}).substr(4), "10");
  EXPECT_EQ(plan({}).substr(4), "10");
}

TEST_F(PruneTest, DoesNotFreeWhatATreeAboveStillHolds) {
  trees_ = {{"base", "", 100}, {"top", "base", 1}};
  record("first", "base", 9);
  record("top", "top", 1);
  EXPECT_EQ(plan({.keep_bytes = 101}), "0");
}

TEST_F(PruneTest, TakesRecordsWithoutStorage) {
  record("scratch", "", 48);
  record("gone", "unknown", 48);
  EXPECT_EQ(plan({.unused_for = hours(24)}).size(), std::string("scratch gone 0").size());
}

}  // namespace
}  // namespace kiln
