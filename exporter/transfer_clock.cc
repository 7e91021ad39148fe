#include "exporter/transfer_clock.h"

#include <algorithm>

namespace kiln {

void TransferClock::begin(uint64_t bytes) {
  const std::lock_guard hold(mutex_);
  const std::chrono::duration<double> granted(static_cast<double>(bytes) / kBytesPerSecond);
  phase_ = Phase{Clock::now(), std::chrono::duration_cast<Clock::duration>(granted)};
  changed_.notify_all();
}

void TransferClock::end() {
  const std::lock_guard hold(mutex_);
  patience_ -= lateness(Clock::now());
  phase_.reset();
  changed_.notify_all();
}

void TransferClock::finish() {
  const std::lock_guard hold(mutex_);
  finished_ = true;
  changed_.notify_all();
}

bool TransferClock::wait() {
  std::unique_lock hold(mutex_);
  waiting_since_ = Clock::now();
  while (!finished_) {
    if (!phase_) {
      changed_.wait(hold);
      continue;
    }
    const Clock::time_point end =
        std::max(phase_->start, *waiting_since_) + phase_->granted + patience_;
    if (Clock::now() >= end) return false;
    changed_.wait_until(hold, end);
  }
  return true;
}

// Of the phase under way, as far as somebody waits for it.
TransferClock::Clock::duration TransferClock::lateness(Clock::time_point now) const {
  if (!phase_ || !waiting_since_) return {};
  const Clock::time_point since = std::max(phase_->start, *waiting_since_);
  return std::max(Clock::duration{}, now - since - phase_->granted);
}

}  // namespace kiln
