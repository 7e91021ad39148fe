#include "base/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <latch>
#include <mutex>
#include <set>
#include <thread>

namespace kiln {
namespace {

TEST(WorkerPoolTest, TasksThatWaitForEachOtherAllRun) {
  constexpr int kTasks = 16;
  std::barrier meet(kTasks);
  std::atomic<int> done = 0;
  {
    WorkerPool pool(kTasks);
    for (int i = 0; i < kTasks; ++i)
      pool.submit([&] {
        meet.arrive_and_wait();
        ++done;
      });
  }
  EXPECT_EQ(done, kTasks);
}

TEST(WorkerPoolTest, DestructorRunsEverythingQueued) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool(2);
    for (int i = 0; i < 1000; ++i) pool.submit([&] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(WorkerPoolTest, TasksMaySubmitWhileThePoolEnds) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool(1);
    pool.submit([&] { pool.submit([&] { pool.submit([&] { ++done; }); }); });
  }
  EXPECT_EQ(done, 1);
}

TEST(WorkerPoolTest, AnIdleThreadIsReused) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  WorkerPool pool(8);
  for (int i = 0; i < 20; ++i) {
    std::latch ran(1);
    pool.submit([&] {
      const std::lock_guard<std::mutex> lock(mutex);
      threads.insert(std::this_thread::get_id());
      ran.count_down();
    });
    ran.wait();
  }
  // A task may be submitted before the thread that ran the last one is idle again, so one is not
  // certain.
  EXPECT_LT(threads.size(), 8U);
}

TEST(WorkerPoolTest, NeverMoreThreadsThanTheLimit) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 200; ++i)
      pool.submit([&] {
        const int now = ++running;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::yield();
        --running;
      });
  }
  EXPECT_LE(most, 3);
}

}  // namespace
}  // namespace kiln
