#include "cache/server/quota.h"

#include <algorithm>

#include "base/strings.h"
#include "cache/server/names.h"

namespace kiln::server {

QuotaLedger::QuotaLedger(BlobStorage& storage, std::vector<Quota> quotas)
    : storage_(storage), quotas_(std::move(quotas)), used_(quotas_.size()) {}

Result<uint64_t> held_bytes(BlobStorage& storage, const std::string& repository) {
  uint64_t bytes = 0;
  for (const RecordKind kind : {RecordKind::kBlob, RecordKind::kManifest}) {
    KILN_TRY_ASSIGN(const std::vector<std::string> names,
                    storage.record_names(repository, kind, ""));
    for (const std::string& name : names) {
      const Result<BlobDigest> digest = BlobDigest::from_component(name);
      if (!digest) continue;  // not ours
      KILN_TRY_ASSIGN(const auto size, storage.blob_size(*digest));
      bytes += size.value_or(0);
    }
  }
  return bytes;
}

Status QuotaLedger::count_locked() {
  if (counted_) return {};
  std::fill(used_.begin(), used_.end(), 0);
  KILN_TRY_ASSIGN(const std::vector<std::string> repositories, storage_.repositories());
  for (const std::string& repository : repositories) {
    const bool limited = std::any_of(quotas_.begin(), quotas_.end(), [&](const Quota& quota) {
      return matches_repository(quota.repositories, repository);
    });
    if (!limited) continue;
    KILN_TRY_ASSIGN(const uint64_t bytes, held_bytes(storage_, repository));
    for (size_t i = 0; i < quotas_.size(); ++i)
      if (matches_repository(quotas_[i].repositories, repository)) used_[i] += bytes;
  }
  counted_ = true;
  return {};
}

ApiStatus QuotaLedger::check_locked(const std::string& repository, uint64_t bytes) {
  KILN_TRY(count_locked());
  for (size_t i = 0; i < quotas_.size(); ++i) {
    const Quota& quota = quotas_[i];
    if (!matches_repository(quota.repositories, repository)) continue;
    if (used_[i] > quota.bytes || bytes > quota.bytes - used_[i])
      return refuse(403, api::kDenied,
                    "the quota of " + human_bytes(quota.bytes) + " of \"" + quota.repositories +
                        "\" is used up: " + human_bytes(used_[i]) + " are held, " +
                        human_bytes(bytes) + " were to be added");
  }
  return {};
}

ApiStatus QuotaLedger::check(const std::string& repository, uint64_t bytes) {
  if (quotas_.empty()) return {};
  const std::lock_guard lock(mutex_);
  return check_locked(repository, bytes);
}

ApiStatus QuotaLedger::add(const std::string& repository, uint64_t bytes) {
  if (quotas_.empty()) return {};
  const std::lock_guard lock(mutex_);
  KILN_TRY(check_locked(repository, bytes));
  for (size_t i = 0; i < quotas_.size(); ++i)
    if (matches_repository(quotas_[i].repositories, repository)) used_[i] += bytes;
  return {};
}

void QuotaLedger::remove(const std::string& repository, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < quotas_.size(); ++i)
    if (matches_repository(quotas_[i].repositories, repository))
      used_[i] -= std::min(used_[i], bytes);
}

void QuotaLedger::forget() {
  const std::lock_guard lock(mutex_);
  counted_ = false;
}

}  // namespace kiln::server
