#include "cmd/hangups.h"

namespace kiln::cmd {

void Hangups::expect() {
  const std::lock_guard lock(mutex_);
  expected_ = true;
}

bool Hangups::arrived() {
  const std::lock_guard lock(mutex_);
  pending_ = expected_;
  changed_.notify_all();
  return expected_;
}

bool Hangups::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const bool came = changed_.wait(lock, stop, [&] { return pending_; });
  pending_ = false;
  return came && !stop.stop_requested();
}

}  // namespace kiln::cmd
