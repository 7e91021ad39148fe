// A pool for work that waits: processes, sockets, disks, vertices. Grows on demand up to
// `max_threads`, so a waiting task never keeps another from starting; work that computes belongs on
// oneTBB instead.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace kiln {

class WorkerPool {
 public:
  explicit WorkerPool(size_t max_threads);
  ~WorkerPool();  // runs what is queued to the end, then joins
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  /// Thread-safe. A task must not throw. Starts a thread if none is idle and the limit allows it.
  void submit(std::function<void()> task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln
