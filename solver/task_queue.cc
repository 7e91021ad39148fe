#include "solver/task_queue.h"

namespace kiln {

void TaskQueue::wait() {
  std::vector<std::function<void()>> continuations;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return woken_ || !posted_.empty(); });
    woken_ = false;
    continuations.swap(posted_);
  }
  for (auto& continuation : continuations) {
    --outstanding_;
    continuation();
  }
}

void TaskQueue::wake() {
  const std::lock_guard<std::mutex> lock(mutex_);
  woken_ = true;
  changed_.notify_one();
}

// Notified under the lock: the owner may destroy the queue as soon as it has seen the last result.
void TaskQueue::post(std::function<void()> continuation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  posted_.push_back(std::move(continuation));
  changed_.notify_one();
}

}  // namespace kiln
