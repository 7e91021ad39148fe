// What the server of a shared cache may cost a build, whatever it is asked for (SAFETY.md 3.7): so
// many seconds that somebody waited for it beyond what the bytes that came or went take at a modest
// pace. Once they are used up, or it cannot be reached, it is left alone: by lookups, by transfers
// of layers and cache mounts, and by exports.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "base/result.h"

namespace kiln::cache {

/// The sum, without a clock. Times must not go back.
class PatienceAccount {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = Time::duration;
  static constexpr uint64_t kBytesPerSecond = 1U << 20U;
  /// For what came fast, no more than this is granted in advance: silence then counts.
  static constexpr std::chrono::seconds kMaxCredit{1};

  explicit PatienceAccount(Duration budget) : left_(budget) {}
  /// Somebody waits from `now` on until an end(). Several at once count as one.
  void begin(Time now);
  void end(Time now);
  /// So many bytes came or went for who waits.
  void moved(uint64_t bytes, Time now);
  Duration left(Time now);
  /// When nothing is left, if nothing moves until then; nullopt: nobody waits.
  std::optional<Time> runs_out() const;

 private:
  void settle(Time now);

  Duration left_;
  Duration credit_{0};
  Time settled_{};
  unsigned waiting_ = 0;
};

/// One for each server. Thread-safe; nothing blocks.
class Patience {
 public:
  static constexpr std::chrono::milliseconds kBudget{5000};

  explicit Patience(std::chrono::milliseconds budget = kBudget)
      : budget_(budget), account_(budget) {}
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  /// As in PatienceAccount, by the clock.
  void begin_wait();
  void end_wait();
  void moved(uint64_t bytes);
  /// The server is left alone from here on. The first reason stays.
  void give_up(const Error& why);
  /// Why it is left alone; nullopt: it is not.
  std::optional<Error> lost() const;
  /// Stopped once it is left alone.
  std::stop_token token() const { return ended_.get_token(); }

 private:
  void watch(const std::stop_token& over);

  const std::chrono::milliseconds budget_;
  mutable std::mutex mutex_;  // all below but ended_
  std::condition_variable_any changed_;
  PatienceAccount account_;
  std::optional<Error> lost_;
  std::stop_source ended_;
  std::jthread watcher_;  // from the first wait on
};

}  // namespace kiln::cache
