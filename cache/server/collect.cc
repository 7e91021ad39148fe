// Garbage collection of registry.h. Mark without the fence, sweep alone inside it, looking again at
// the one thing that a push changes: the time at which a holding or a blob was touched.
//
// Why no push is lost: a manifest touches what it refers to and is published, all inside the fence.
// If that was before the collection began (it passes the fence alone once), the mark sees the
// manifest. If later, what it refers to was touched after `before`, and the sweep leaves it. The
// same holds for blobs and the holdings that commits and mounts make of them.
#include <unordered_set>

#include "base/io.h"
#include "cache/server/registry.h"

namespace kiln::server {
namespace {

// The times of files come from a clock that ticks coarsely and may lag by this much.
constexpr auto kClockSlack = std::chrono::milliseconds(20);

// What the manifests of a repository refer to, as names of records.
Result<std::unordered_set<std::string>> referred_to(BlobStorage& storage,
                                                    const std::string& repository) {
  std::unordered_set<std::string> marked;
  KILN_TRY_ASSIGN(const auto names, storage.record_names(repository, RecordKind::kManifest, ""));
  for (const std::string& name : names) {
    const Result<BlobDigest> digest = BlobDigest::from_component(name);
    if (!digest) continue;  // not ours
    Result<OpenBlob> blob = storage.open_blob(*digest);
    if (!blob) return tl::unexpected(blob.error().wrap("manifest of \"" + repository + "\""));
    const auto source = source_of(*std::move(blob), digest->to_string());
    KILN_TRY_ASSIGN(const std::string text, read_all(*source, kMaxManifestBytes, "manifest"));
    const ApiResult<ManifestDocument> document = parse_manifest_document(text, "");
    if (!document)
      return fail(Code::kDataLoss, digest->to_string() + ": " + document.error().message);
    for (const auto& content : document->contents) marked.insert(content.digest.component());
  }
  return marked;
}

}  // namespace

Status Registry::sweep_holdings(const std::string& repository, TimePoint before,
                                Collected& collected) {
  KILN_TRY_ASSIGN(const auto marked, referred_to(storage_, repository));
  for (const RecordKind kind : {RecordKind::kBlob, RecordKind::kAwaited})
    KILN_TRY(sweep_records(repository, kind, marked, before, collected));
  return {};
}

Status Registry::sweep_records(const std::string& repository, RecordKind kind,
                               const std::unordered_set<std::string>& marked, TimePoint before,
                               Collected& collected) {
  KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, kind, ""));
  for (const std::string& name : names) {
    if (marked.contains(name)) continue;
    const RecordKey key{repository, kind, name};
    KILN_TRY_ASSIGN(const auto seen, storage_.record_touched(key));
    if (!seen || *seen >= before) continue;
    const Fence::Alone alone(fence_);
    KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(key));
    if (!touched || *touched >= before) continue;
    KILN_TRY(storage_.erase_record(key));
    if (kind == RecordKind::kBlob) ++collected.holdings;
  }
  return {};
}

Status Registry::sweep_blobs(TimePoint before, Collected& collected) {
  std::unordered_set<std::string> held;
  KILN_TRY_ASSIGN(const auto repositories, storage_.repositories());
  for (const std::string& repository : repositories)
    for (const RecordKind kind : {RecordKind::kBlob, RecordKind::kManifest}) {
      KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, kind, ""));
      held.insert(names.begin(), names.end());
    }
  std::vector<BlobStorage::BlobEntry> victims;
  KILN_TRY(storage_.each_blob([&](const BlobStorage::BlobEntry& entry) -> Status {
    if (entry.touched < before && !held.contains(entry.digest.component()))
      victims.push_back(entry);
    return {};
  }));
  for (const BlobStorage::BlobEntry& victim : victims) {
    const Fence::Alone alone(fence_);
    KILN_TRY_ASSIGN(const auto touched, storage_.blob_touched(victim.digest));
    if (!touched || *touched >= before) continue;
    KILN_TRY(storage_.remove_blob(victim.digest));
    ++collected.blobs;
    collected.bytes += victim.size;
  }
  return {};
}

ApiResult<Registry::Collected> Registry::collect(TimePoint now, std::chrono::seconds upload_age) {
  const std::unique_lock collecting(collecting_, std::try_to_lock);
  if (!collecting) return refuse(409, api::kUnknown, "a collection is running already");
  { const Fence::Alone barrier(fence_); }
  const TimePoint before = now - options_.grace - kClockSlack;
  Collected collected;
  KILN_TRY_ASSIGN(collected.uploads, storage_.expire_uploads(now - upload_age));
  KILN_TRY_ASSIGN(const auto repositories, storage_.repositories());
  for (const std::string& repository : repositories)
    KILN_TRY(sweep_holdings(repository, before, collected));
  KILN_TRY(sweep_blobs(before, collected));
  quota_.forget();
  return collected;
}

}  // namespace kiln::server
