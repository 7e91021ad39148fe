// Garbage collection of registry.h. Mark without the fence, sweep alone inside it, looking again at
// the one thing that a push changes: the time at which a holding or a blob was touched.
//
// Why no push is lost: a manifest touches what it refers to and is published, all inside the fence.
// If that was before the collection began (it passes the fence alone once), the mark sees the
// manifest. If later, what it refers to was touched after `before`, and the sweep leaves it. The
// same holds for blobs and the holdings that commits and mounts make of them.
//
// Where several servers share a storage there is no fence over all of them: Collection (storage.h)
// tells them what is about to go, and whoever touches such a thing makes sure of it afterwards.
#include <algorithm>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "base/io.h"
#include "cache/server/registry.h"

namespace kiln::server {
namespace {

// The times of files come from a clock that ticks coarsely and may lag by this much.
constexpr auto kClockSlack = std::chrono::milliseconds(20);
// Announcing takes a while and is done once for so many; who pushes one of them waits for all.
constexpr size_t kBatch = 500;

bool is_about_damage(const Error& error) {
  return error.code() == Code::kDataLoss || error.code() == Code::kNotFound;
}

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
    const Result<std::string> text = read_all(*source, kMaxManifestBytes, "manifest");
    if (!text && text.error().code() == Code::kResourceExhausted)
      return fail(Code::kDataLoss, digest->to_string() + ": it is larger than a manifest");
    if (!text) return tl::unexpected(text.error());
    const ApiResult<ManifestDocument> document = parse_manifest_document(*text, "");
    if (!document)
      return fail(Code::kDataLoss, digest->to_string() + ": " + document.error().message);
    for (const auto& content : document->contents) marked.insert(content.digest.component());
  }
  return marked;
}

// Each is looked at again and removed where no push can come between: alone inside the fence, or
// after all servers know of it.
template <class Victim, class Announce, class Remove>
Status in_batches(std::span<const Victim> victims, const Announce& announce, const Remove& remove,
                  Collection& collection, Fence& fence) {
  for (size_t begin = 0; begin < victims.size(); begin += kBatch) {
    const auto batch = victims.subspan(begin, std::min(kBatch, victims.size() - begin));
    KILN_TRY(announce(batch));
    for (const Victim& victim : batch) {
      std::optional<Fence::Alone> alone;
      if (!collection.is_shared()) alone.emplace(fence);
      KILN_TRY(collection.check());
      KILN_TRY(remove(victim));
    }
    KILN_TRY(collection.finished());
  }
  return {};
}

}  // namespace

Status Registry::sweep_holdings(const std::string& repository, TimePoint before,
                                Collection& collection, Collected& collected) {
  KILN_TRY_ASSIGN(const auto marked, referred_to(storage_, repository));
  for (const RecordKind kind : {RecordKind::kBlob, RecordKind::kAwaited}) {
    std::vector<RecordKey> victims;
    KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, kind, ""));
    for (const std::string& name : names) {
      if (marked.contains(name)) continue;
      RecordKey key{repository, kind, name};
      KILN_TRY_ASSIGN(const auto seen, storage_.record_touched(key));
      if (seen && *seen < before) victims.push_back(std::move(key));
    }
    const auto announce = [&](std::span<const RecordKey> batch) {
      return collection.announce_records(batch);
    };
    const auto remove = [&](const RecordKey& key) -> Status {
      KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(key));
      if (!touched || *touched >= before) return {};
      KILN_TRY(storage_.erase_record(key));
      if (kind == RecordKind::kBlob) ++collected.holdings;
      return {};
    };
    KILN_TRY(in_batches(std::span<const RecordKey>(victims), announce, remove, collection, fence_));
  }
  return {};
}

Status Registry::sweep_blobs(TimePoint before, Collection& collection, Collected& collected) {
  std::unordered_set<std::string> held;
  KILN_TRY_ASSIGN(const auto repositories, storage_.repositories());
  for (const std::string& repository : repositories)
    for (const RecordKind kind : {RecordKind::kBlob, RecordKind::kManifest}) {
      KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, kind, ""));
      held.insert(names.begin(), names.end());
    }
  std::vector<BlobDigest> victims;
  std::unordered_map<std::string, uint64_t> sizes;
  KILN_TRY(storage_.each_blob([&](const BlobStorage::BlobEntry& entry) -> Status {
    if (entry.touched >= before || held.contains(entry.digest.component())) return {};
    victims.push_back(entry.digest);
    sizes.emplace(entry.digest.component(), entry.size);
    return {};
  }));
  return in_batches(
      std::span<const BlobDigest>(victims),
      [&](std::span<const BlobDigest> batch) { return collection.announce_blobs(batch); },
      [&](const BlobDigest& victim) -> Status {
        KILN_TRY_ASSIGN(const auto touched, storage_.blob_touched(victim));
        if (!touched || *touched >= before) return {};
        KILN_TRY(storage_.remove_blob(victim));
        ++collected.blobs;
        collected.bytes += sizes[victim.component()];
        return {};
      },
      collection, fence_);
}

ApiResult<Registry::Collected> Registry::collect(TimePoint now, std::chrono::seconds upload_age) {
  const std::unique_lock collecting(collecting_, std::try_to_lock);
  if (!collecting) return refuse(409, api::kUnknown, "a collection is running already");
  KILN_TRY_ASSIGN(const auto collection, storage_.begin_collection(now));
  if (!collection->is_shared()) const Fence::Alone barrier(fence_);
  const TimePoint before = collection->now() - options_.grace - kClockSlack;
  Collected collected;
  KILN_TRY_ASSIGN(collected.uploads, storage_.expire_uploads(collection->now() - upload_age));
  KILN_TRY_ASSIGN(const auto repositories, storage_.repositories());
  for (const std::string& repository : repositories) {
    const Status swept = sweep_holdings(repository, before, *collection, collected);
    if (swept) continue;
    // What it refers to cannot be told: all that the repository holds stays, and others go on.
    if (!is_about_damage(swept.error())) return tl::unexpected(ApiError(swept.error()));
    collected.problems.push_back(swept.error().message());
  }
  KILN_TRY(sweep_blobs(before, *collection, collected));
  quota_.forget();
  return collected;
}

}  // namespace kiln::server
