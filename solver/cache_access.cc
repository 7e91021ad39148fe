#include "solver/cache_access.h"

#include <utility>

#include "base/clock.h"

namespace kiln {
namespace {

void warn(JobContext& job, const Error& error) {
  job.progress.on_event(BuildWarning{
      "CacheNotSaved", "the step's result is not cached: " + error.message(), "", {}, job.vertex});
}

}  // namespace

CacheAccess::CacheAccess(std::vector<CacheStore*> stores, ResultLoader load)
    : stores_(std::move(stores)), load_(std::move(load)) {}

void CacheAccess::announce(const CacheKey& key) const {
  for (CacheStore* store : stores_) store->announce(key);
}

std::optional<CacheKey> CacheAccess::find_alias(const CacheKey& fast) const {
  for (CacheStore* store : stores_) {
    auto target = store->find_alias(fast);
    if (target && *target) return **target;
  }
  return std::nullopt;
}

Result<std::optional<LoadedResult>> CacheAccess::find(const CacheKey& key,
                                                      const std::optional<KeyRecord>& record,
                                                      const std::stop_token& stop) const {
  for (CacheStore* store : stores_) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "cancelled while looking up a result");
    const auto found = store->find(key);
    if (!found || !*found) continue;
    auto ref = load_(**found);
    if (ref && *ref) {
      if (store != stores_.front() && record) {
        const auto result = (*ref)->cache_result();
        // A result that is not kept here is found there again.
        if (result && *result) (void)stores_.front()->save(*record, **result);
      }
      return LoadedResult{*std::move(ref), (*found)->created};
    }
    const bool gone =
        !ref && (ref.error().code() == Code::kNotFound || ref.error().code() == Code::kDataLoss);
    if (gone) (void)store->forget(key);  // a record that stays is met and tried again
  }
  return std::nullopt;
}

void CacheAccess::save_alias(const KeyRecord& fast, const CacheKey& target, JobContext& job) const {
  if (Status saved = stores_.front()->save_alias(fast, target); !saved) warn(job, saved.error());
}

std::chrono::sys_time<std::chrono::nanoseconds> CacheAccess::save(
    const std::optional<KeyRecord>& record, Ref& ref, JobContext& job) const {
  const auto now = Clock::system().now();
  if (!record || stores_.empty()) return now;
  auto result = ref.cache_result();
  if (!result) warn(job, result.error());
  if (!result || !*result) return now;
  CacheResult& cacheable = **result;
  if (cacheable.created == decltype(cacheable.created){}) cacheable.created = now;
  if (Status saved = stores_.front()->save(*record, cacheable); !saved) warn(job, saved.error());
  return cacheable.created;
}

Result<std::shared_ptr<KeyLock>> CacheAccess::lock(const CacheKey& key,
                                                   const std::stop_token& stop) const {
  auto lock = stores_.front()->lock(key, stop);
  if (lock) return std::shared_ptr<KeyLock>(*std::move(lock));
  if (stop.stop_requested()) return tl::unexpected(std::move(lock).error());
  return std::shared_ptr<KeyLock>();
}

}  // namespace kiln
