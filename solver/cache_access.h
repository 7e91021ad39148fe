// The solver's use of its cache stores, called on workers. Nothing here fails a build: an error of
// a store is a miss when looking up, and a warning when saving. Only a requested stop is passed on.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "cache/store.h"
#include "solver/operation.h"

namespace kiln {

struct LoadedResult {
  RefPtr ref;
  std::chrono::sys_time<std::chrono::nanoseconds> created{};
};

class CacheAccess {
 public:
  CacheAccess(std::vector<CacheStore*> stores, ResultLoader load);
  bool empty() const { return stores_.empty(); }

  /// Never blocks.
  void announce(const CacheKey& key) const;
  std::optional<CacheKey> find_alias(const CacheKey& fast) const;
  /// The first store's result that can be loaded. One whose content is gone or damaged is
  /// forgotten. What a further store has is saved in the first one if `record` is known.
  /// kCancelled: `stop`.
  Result<std::optional<LoadedResult>> find(const CacheKey& key,
                                           const std::optional<KeyRecord>& record,
                                           const std::stop_token& stop) const;
  void save_alias(const KeyRecord& fast, const CacheKey& target, JobContext& job) const;
  /// Saves a fresh result if it can be cached; returns when it was made.
  std::chrono::sys_time<std::chrono::nanoseconds> save(const std::optional<KeyRecord>& record,
                                                       Ref& ref, JobContext& job) const;
  /// Null if the store cannot lock: work may then be done twice. kCancelled: `stop`.
  Result<std::shared_ptr<KeyLock>> lock(const CacheKey& key, const std::stop_token& stop) const;

 private:
  std::vector<CacheStore*> stores_;
  ResultLoader load_;
};

}  // namespace kiln
