// How many bytes the repositories below a prefix may hold. A blob counts once for every repository
// that holds it.
#pragma once

#include "cache/server/api_error.h"
#include "cache/server/storage.h"

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace kiln::server {

struct Quota {
  std::string repositories;  // a pattern, as in names.h
  uint64_t bytes = 0;
  bool operator==(const Quota&) const = default;
};

/// Thread-safe. What is held is counted once, when it is first asked for, and kept up from there.
class QuotaLedger {
 public:
  QuotaLedger(BlobStorage& storage, std::vector<Quota> quotas);
  /// DENIED if `bytes` more do not fit.
  ApiStatus check(const std::string& repository, uint64_t bytes);
  /// The same, and counts them.
  ApiStatus add(const std::string& repository, uint64_t bytes);
  void remove(const std::string& repository, uint64_t bytes);
  void forget();  // count anew next time

 private:
  ApiStatus check_locked(const std::string& repository, uint64_t bytes);
  Status count_locked();

  BlobStorage& storage_;
  const std::vector<Quota> quotas_;
  std::mutex mutex_;
  bool counted_ = false;
  std::vector<uint64_t> used_;  // by quota
};

/// Bytes of the blobs and manifests that a repository holds.
Result<uint64_t> held_bytes(BlobStorage& storage, const std::string& repository);

}  // namespace kiln::server
