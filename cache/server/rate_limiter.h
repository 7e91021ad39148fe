// How often each client may ask: a bucket of tokens an address, refilled steadily.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

namespace kiln::server {

/// Thread-safe. Forgets clients whose bucket is full, so its memory is bounded by how many there
/// are that ask just now.
class RateLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Rate {
    double per_second = 0;  // 0: no limit
    double burst = 0;
    bool operator==(const Rate&) const = default;
  };
  explicit RateLimiter(Rate rate) : rate_(rate) {}
  /// False: too many. Takes a token otherwise.
  bool take(const std::string& client, Time now);
  /// Whether take() would succeed.
  bool has(const std::string& client, Time now);

 private:
  struct Bucket {
    double tokens;
    Time at;
  };
  double filled(const Bucket& bucket, Time now) const;
  void forget_full(Time now);

  const Rate rate_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace kiln::server
