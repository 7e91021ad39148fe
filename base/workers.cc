#include "base/workers.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"

namespace kiln {

struct WorkerPool::State {
  const size_t max_threads;
  std::mutex mutex;  // protects all below
  std::condition_variable work;
  std::deque<std::function<void()>> queue;
  std::vector<std::thread> threads;
  size_t started = 0;  // threads ever started; none ends before the pool stops
  size_t idle = 0;
  bool stopping = false;

  explicit State(size_t max) : max_threads(max) {}
  void run();
  void start_thread();
};

// Runs tasks until the pool stops and nothing is queued. A thread never leaves earlier: children
// that were spawned with die_with_parent live as long as the thread that spawned them (process.h).
void WorkerPool::State::run() {
  std::unique_lock<std::mutex> lock(mutex);
  for (;;) {
    ++idle;
    work.wait(lock, [this] { return stopping || !queue.empty(); });
    --idle;
    if (queue.empty()) return;
    std::function<void()> task = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it captured dies here, not under the lock
    lock.lock();
  }
}

// The mutex is held. When the system has no thread to give, those that run serve the queue.
void WorkerPool::State::start_thread() {
  try {
    threads.emplace_back([this] { run(); });
    ++started;
  } catch (const std::system_error&) {
    KILN_CHECK(started > 0);
  }
}

WorkerPool::WorkerPool(size_t max_threads) : state_(std::make_unique<State>(max_threads)) {
  KILN_CHECK(max_threads > 0);
}

WorkerPool::~WorkerPool() {
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->stopping = true;
  state_->work.notify_all();
  // A task may submit another while the pool drains, which may start a thread: hence not a loop
  // over the vector.
  while (!state_->threads.empty()) {
    std::thread thread = std::move(state_->threads.back());
    state_->threads.pop_back();
    lock.unlock();
    thread.join();
    lock.lock();
  }
}

void WorkerPool::submit(std::function<void()> task) {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  state_->queue.push_back(std::move(task));
  if (state_->idle < state_->queue.size() && state_->started < state_->max_threads)
    state_->start_thread();
  state_->work.notify_one();
}

}  // namespace kiln
