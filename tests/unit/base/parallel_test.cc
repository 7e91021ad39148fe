#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/watchdog.h"

namespace kiln {
namespace {

TEST(Parallel, CallsEachOnce) {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{100}}) {
    std::vector<std::atomic<int>> calls(count);
    EXPECT_TRUE(for_each_at_once(count, 3, [&](size_t i) {
      ++calls[i];
      return Status{};
    }));
    for (const auto& one : calls) EXPECT_EQ(one, 1);
  }
}

TEST(Parallel, ReturnsTheErrorOfTheLowestNumberAndStartsNothingNew) {
  std::atomic<size_t> calls{0};
  const Status failed = for_each_at_once(1000, 1, [&](size_t i) -> Status {
    ++calls;
    if (i == 4) return fail(Code::kUnavailable, "four");
    return {};
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "four");
  EXPECT_EQ(calls, 5U);
}

TEST(WatchdogTest, StopsWhoStandsStillAndSaysSo) {
  const Watchdog dog({}, std::chrono::milliseconds(1));
  while (!dog.token().stop_requested()) std::this_thread::yield();
  EXPECT_TRUE(dog.expired());
}

TEST(WatchdogTest, StopsWithItsParentWhichIsNoAlarm) {
  std::stop_source parent;
  const Watchdog dog(parent.get_token(), std::chrono::hours(1));
  EXPECT_FALSE(dog.token().stop_requested());
  parent.request_stop();
  EXPECT_TRUE(dog.token().stop_requested());
  EXPECT_FALSE(dog.expired());
}

TEST(WatchdogTest, FoodPutsTheAlarmOff) {
  Watchdog dog({}, std::chrono::hours(1));
  dog.feed();
  EXPECT_FALSE(dog.token().stop_requested());
}

}  // namespace
}  // namespace kiln
