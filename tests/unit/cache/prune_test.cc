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
  std::string plan(std::optional<uint64_t> keep_bytes) {
    const PrunePlan plan = plan_prune(records_, trees_, keep_bytes);
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
  EXPECT_EQ(plan(40), "old 20");
  EXPECT_EQ(plan(39), "old middle 50");
  EXPECT_EQ(plan(60), "0");
}

TEST_F(PruneTest, TakesOnlyWhatMayGo) {
  trees_ = {{"t1", "", 10}, {"t2", "", 20}};
  record("a", "t1", 90);
  record("b", "t2", 48);
  records_[0].may_go = false;
  EXPECT_EQ(plan({}), "b 20");
  EXPECT_EQ(plan(0), "b 20");
  EXPECT_EQ(plan(30), "0");
  EXPECT_EQ(held_bytes(records_, trees_), 30U);
}

TEST_F(PruneTest, LimitsOfSpaceSayHowMuchStays) {
  using Bytes = std::optional<uint64_t>;
  const struct {
    SpaceLimits limits;
    uint64_t free;
    Bytes keep;
  } kCases[] = {
      {{}, 0, std::nullopt},
      {{.reserved_bytes = 30}, 1000, Bytes(30)},
      {{.max_used_bytes = 40}, 0, Bytes(40)},
      {{.max_used_bytes = 400}, 0, Bytes(100)},
      {{.reserved_bytes = 60, .max_used_bytes = 40}, 0, Bytes(60)},
      {{.min_free_bytes = 50}, 50, Bytes(100)},
      {{.min_free_bytes = 50}, 20, Bytes(70)},
      {{.min_free_bytes = 500}, 20, Bytes(0)},
      {{.reserved_bytes = 25, .min_free_bytes = 500}, 20, Bytes(25)},
      {{.max_used_bytes = 60, .min_free_bytes = 50}, 20, Bytes(60)},
      {{.max_used_bytes = 80, .min_free_bytes = 50}, 20, Bytes(70)},
  };
  for (const auto& c : kCases) EXPECT_EQ(bytes_to_keep(c.limits, 100, c.free), c.keep);
}

TEST_F(PruneTest, CountsATreeAsUsedWhenOneAboveItIs) {
  trees_ = {{"base", "", 100}, {"top", "base", 1}, {"other", "", 7}};
  record("base", "base", 90);
  record("top", "top", 1);
  record("other", "other", 50);
  EXPECT_EQ(plan(101), "other 7");
}

TEST_F(PruneTest, TakesTheTopOfATreeFirst) {
  trees_ = {{"base", "", 100}, {"top", "base", 1}};
  record("base", "base", 5);
  record("top", "top", 5);
  EXPECT_EQ(plan(100), "top 1");
}

TEST_F(PruneTest, FreesATreeWithItsLastRecord) {
  trees_ = {{"t", "", 10}};
  record("a", "t", 1);
  record("b", "t", 2);
  EXPECT_EQ(plan(5).substr(4), "10");
  EXPECT_EQ(plan({}).substr(4), "10");
}

TEST_F(PruneTest, DoesNotFreeWhatATreeAboveStillHolds) {
  trees_ = {{"base", "", 100}, {"top", "base", 1}};
  record("first", "base", 9);
  record("top", "top", 1);
  EXPECT_EQ(plan(101), "0");
}

TEST_F(PruneTest, TakesRecordsWithoutStorage) {
  record("scratch", "", 48);
  record("gone", "unknown", 48);
  EXPECT_EQ(plan({}).size(), std::string("scratch gone 0").size());
}

}  // namespace
}  // namespace kiln
