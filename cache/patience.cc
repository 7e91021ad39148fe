#include "cache/patience.h"

#include <algorithm>

namespace kiln::cache {
namespace {

using SteadyClock = std::chrono::steady_clock;

}  // namespace

// What passed since the last time counts if anybody waited, as far as no bytes account for it.
void PatienceAccount::settle(Time now) {
  if (waiting_ > 0) {
    const Duration passed = now - settled_;
    const Duration granted = std::min(passed, credit_);
    credit_ -= granted;
    left_ = std::max(Duration{0}, left_ - (passed - granted));
  }
  settled_ = now;
}

void PatienceAccount::begin(Time now) {
  settle(now);
  ++waiting_;
}

void PatienceAccount::end(Time now) {
  settle(now);
  --waiting_;
}

void PatienceAccount::moved(uint64_t bytes, Time now) {
  settle(now);
  const std::chrono::duration<double> needed(static_cast<double>(bytes) / kBytesPerSecond);
  credit_ = std::chrono::duration_cast<Duration>(
      std::min<std::chrono::duration<double>>(credit_ + needed, kMaxCredit));
}

PatienceAccount::Duration PatienceAccount::left(Time now) {
  settle(now);
  return left_;
}

std::optional<PatienceAccount::Time> PatienceAccount::runs_out() const {
  if (waiting_ == 0) return std::nullopt;
  return settled_ + credit_ + left_;
}

Patience::~Patience() {
  watcher_.request_stop();
  if (watcher_.joinable()) watcher_.join();
}

void Patience::begin_wait() {
  const std::lock_guard hold(mutex_);
  account_.begin(SteadyClock::now());
  if (!watcher_.joinable())
    watcher_ = std::jthread([this](const std::stop_token& over) { watch(over); });
  changed_.notify_one();
}

void Patience::end_wait() {
  const std::lock_guard hold(mutex_);
  account_.end(SteadyClock::now());
}

void Patience::moved(uint64_t bytes) {
  const std::lock_guard hold(mutex_);
  account_.moved(bytes, SteadyClock::now());
}

void Patience::give_up(const Error& why) {
  {
    const std::lock_guard hold(mutex_);
    if (!lost_) lost_ = why;
    changed_.notify_one();
  }
  ended_.request_stop();  // not under the lock: whose calls end may come here
}

std::optional<Error> Patience::lost() const {
  const std::lock_guard hold(mutex_);
  return lost_;
}

// Ends, movements and pauses only put the moment off: it is looked at again when it is there.
void Patience::watch(const std::stop_token& over) {
  std::unique_lock hold(mutex_);
  while (!over.stop_requested() && !lost_) {
    const auto until = account_.runs_out();
    const auto changed = [&] { return lost_ || (!until && account_.runs_out()); };
    if (!until) {
      changed_.wait(hold, over, changed);
    } else if (changed_.wait_until(hold, over, *until, changed);
               !lost_ && account_.left(SteadyClock::now()) == PatienceAccount::Duration{0}) {
      hold.unlock();
      give_up(Error(Code::kUnavailable,
                    "it kept the build waiting for " + std::to_string(budget_.count()) + " ms"));
      return;
    }
  }
}

}  // namespace kiln::cache
