#include "exporter/transfer_clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace kiln {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(TransferClock, WaitsForTheEndWithinItsPatience) {
  TransferClock clock{hours(1)};
  std::thread other([&] {
    clock.begin(1);
    clock.end();
    clock.finish();
  });
  EXPECT_TRUE(clock.wait());
  other.join();
}

TEST(TransferClock, GrantsTheTimeThatBytesNeed) {
  TransferClock clock{milliseconds(0)};
  clock.begin(TransferClock::kBytesPerSecond * 3600);
  std::thread other([&] { clock.finish(); });
  EXPECT_TRUE(clock.wait());
  other.join();
}

TEST(TransferClock, EndsWhenPatienceIsUsedUp) {
  TransferClock clock{milliseconds(1)};
  clock.begin(0);
  EXPECT_FALSE(clock.wait());
}

TEST(TransferClock, AddsUpWhatEachPhaseTookTooLong) {
  TransferClock clock{milliseconds(20)};
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) {
      clock.begin(0);
      std::this_thread::sleep_for(milliseconds(1));
      clock.end();
    }
  });
  EXPECT_FALSE(clock.wait());
  over = true;
  other.join();
}

}  // namespace
}  // namespace kiln
