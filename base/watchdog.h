// A stop token with an alarm: for calls that may take long as long as they get on, but not hang.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>

namespace kiln {

/// Requests a stop when `parent` does, or when nobody has fed it for `patience`. Thread-safe.
class Watchdog {
 public:
  Watchdog(const std::stop_token& parent, std::chrono::milliseconds patience);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  std::stop_token token() const;
  void feed();
  /// True: it was the alarm that stopped, not the parent.
  bool expired() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln
