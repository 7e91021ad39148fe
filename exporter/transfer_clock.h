// What transfers may cost once nobody but them is waited for: as long as their bytes take at a
// modest pace, and some patience beyond it. A fast server is waited for, however much there is to
// send; a slow or dead one costs its patience and no more.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

namespace kiln {

/// Thread-safe: one thread transfers, another one waits.
class TransferClock {
 public:
  static constexpr uint64_t kBytesPerSecond = 1U << 20U;

  explicit TransferClock(std::chrono::milliseconds patience) : patience_(patience) {}

  /// What lies between counts, from the first wait() on. Not nested.
  void begin(uint64_t bytes);
  void end();
  /// Nothing more will be transferred.
  void finish();
  /// Blocks until finish(), or until patience is used up: then false.
  bool wait();

 private:
  using Clock = std::chrono::steady_clock;
  struct Phase {
    Clock::time_point start;
    Clock::duration granted;
  };
  Clock::duration lateness(Clock::time_point now) const;

  std::mutex mutex_;  // all below
  std::condition_variable changed_;
  Clock::duration patience_;  // what is left
  bool finished_ = false;
  std::optional<Clock::time_point> waiting_since_;
  std::optional<Phase> phase_;
};

}  // namespace kiln
