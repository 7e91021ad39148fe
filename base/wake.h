// Turns a stop request into a readable fd, so that it can be waited for with poll(2) beside other
// fds.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "base/fd.h"
#include "base/result.h"

namespace kiln::internal {

class StopWaker {
 public:
  static Result<StopWaker> create(const std::stop_token& stop);
  /// Readable once a stop is requested; -1 (which poll ignores) if none can ever be.
  int fd() const { return fd_.get(); }

 private:
  StopWaker() = default;
  Fd fd_;  // before the callback, which writes to it and must be gone first
  std::unique_ptr<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace kiln::internal
