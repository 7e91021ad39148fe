// CacheStore in kiln.db (tables of its own) with key locks under run/keys/. Records carry a
// checksum; a torn one is dropped.
#pragma once

#include "base/database.h"
#include "cache/store.h"
#include "oci/lease.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln {

struct StoredRecord {
  CacheKey key;
  KeyRecord record;
  CacheResult result;
  std::chrono::sys_time<std::chrono::nanoseconds> last_used{};
  uint64_t uses = 0;
  uint64_t used_seq = 0;  // of the last lease that saved or found it
};

class LocalCacheStore : public CacheStore {
 public:
  /// What is found or saved is stamped with `lease`, so that pruning elsewhere leaves it alone.
  static Result<std::unique_ptr<LocalCacheStore>> open(Database& database, const oci::Lease& lease,
                                                       std::string lock_directory);
  Result<std::optional<CacheResult>> find(const CacheKey& key) override;
  Status save(const KeyRecord& record, const CacheResult& result) override;
  Result<std::optional<CacheKey>> find_alias(const CacheKey& fast) override;
  Status save_alias(const KeyRecord& fast, const CacheKey& target) override;
  Status forget(const CacheKey& key) override;
  Result<std::unique_ptr<KeyLock>> lock(const CacheKey& key, std::stop_token stop) override;

  Result<std::optional<KeyRecord>> record(const CacheKey& key);
  /// Records of steps with this display name, or with its place or its instruction (explain.h),
  /// newest first: candidates for explaining a miss.
  Result<std::vector<KeyRecord>> similar(std::string_view name, size_t limit);
  Result<std::vector<StoredRecord>> list();
  /// Removes records (and aliases to them) unless a live lease with a number above `oldest_live`
  /// stamped them.
  Status remove(const std::vector<CacheKey>& keys, uint64_t oldest_live);

 private:
  LocalCacheStore(Database& database, const oci::Lease& lease, std::string lock_directory);
  Database& database_;
  const oci::Lease& lease_;
  std::string lock_directory_;
};

}  // namespace kiln
