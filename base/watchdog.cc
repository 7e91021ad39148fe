#include "base/watchdog.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace kiln {

struct Watchdog::State {
  using Time = std::chrono::steady_clock::time_point;
  State(const std::stop_token& parent, std::chrono::milliseconds wait)
      : patience(wait), deadline(now() + wait), chained(parent, [this] { stop.request_stop(); }) {}

  static Time now() { return std::chrono::steady_clock::now(); }

  void watch(const std::stop_token& over) {
    std::unique_lock hold(mutex);
    while (!over.stop_requested()) {
      const Time until = deadline;
      wake.wait_until(hold, over, until, [] { return false; });
      if (over.stop_requested()) return;
      if (now() < deadline) continue;  // fed meanwhile
      expired = !stop.stop_requested();
      hold.unlock();  // who is called back may ask whether it was the alarm
      stop.request_stop();
      return;
    }
  }

  const std::chrono::milliseconds patience;
  std::mutex mutex;  // deadline, expired
  std::condition_variable_any wake;
  Time deadline;
  bool expired = false;
  std::stop_source stop;
  std::stop_callback<std::function<void()>> chained;
  std::jthread thread;
};

Watchdog::Watchdog(const std::stop_token& parent, std::chrono::milliseconds patience)
    : state_(std::make_unique<State>(parent, patience)) {
  state_->thread =
      std::jthread([state = state_.get()](const std::stop_token& over) { state->watch(over); });
}

Watchdog::~Watchdog() {
  state_->thread.request_stop();
  state_->thread.join();
}

std::stop_token Watchdog::token() const {
  return state_->stop.get_token();
}

void Watchdog::feed() {
  const std::lock_guard hold(state_->mutex);
  state_->deadline = State::now() + state_->patience;
}

bool Watchdog::expired() const {
  const std::lock_guard hold(state_->mutex);
  return state_->expired;
}

}  // namespace kiln
