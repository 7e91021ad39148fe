#include "cache/server/rate_limiter.h"

#include <algorithm>

namespace kiln::server {
namespace {

constexpr size_t kManyClients = 10000;

}  // namespace

double RateLimiter::filled(const Bucket& bucket, Time now) const {
  const double seconds = std::chrono::duration<double>(now - bucket.at).count();
  return std::min(rate_.burst, bucket.tokens + std::max(0.0, seconds) * rate_.per_second);
}

void RateLimiter::forget_full(Time now) {
  std::erase_if(buckets_,
                [&](const auto& client) { return filled(client.second, now) >= rate_.burst; });
}

bool RateLimiter::take(const std::string& client, Time now) {
  if (rate_.per_second <= 0) return true;
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= kManyClients) forget_full(now);
  Bucket& bucket = buckets_.try_emplace(client, Bucket{rate_.burst, now}).first->second;
  bucket = {filled(bucket, now), now};
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

bool RateLimiter::has(const std::string& client, Time now) {
  if (rate_.per_second <= 0) return true;
  const std::lock_guard lock(mutex_);
  const auto found = buckets_.find(client);
  return found == buckets_.end() || filled(found->second, now) >= 1;
}

}  // namespace kiln::server
