// Work that is done on the pool and what follows from it on the thread that owns the queue. What a
// task captures dies before its continuation is posted: once nothing is outstanding, the pool holds
// nothing of the caller's.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/workers.h"

namespace kiln {

class TaskQueue {
 public:
  explicit TaskQueue(WorkerPool& workers) : workers_(workers) {}

  /// Runs `work` on the pool, then `then(its result)` in the owner's wait().
  template <class Work, class Then>
  void start(Work work, Then then) {
    ++outstanding_;
    workers_.submit([this, work = std::move(work), then = std::move(then)]() mutable {
      // Two statements: arguments may live to the end of the statement.
      std::function<void()> continuation = perform(std::move(work), std::move(then));
      post(std::move(continuation));
    });
  }
  /// Tasks whose continuation has not run.
  size_t outstanding() const { return outstanding_; }
  /// Blocks until a task has ended or wake() was called; runs all continuations that are there.
  void wait();
  void wake();  // from any thread

 private:
  template <class Work, class Then>
  static std::function<void()> perform(Work work, Then then) {
    auto result = std::make_shared<decltype(work())>(work());
    return [result, then = std::move(then)]() mutable { then(std::move(*result)); };
  }
  void post(std::function<void()> continuation);

  WorkerPool& workers_;
  size_t outstanding_ = 0;  // owner's thread only
  std::mutex mutex_;        // protects all below
  std::condition_variable changed_;
  std::vector<std::function<void()>> posted_;
  bool woken_ = false;
};

}  // namespace kiln
