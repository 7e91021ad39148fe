#include "cache/server/eviction.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "cache/entry_manifest.h"

namespace kiln::server {
namespace {

struct KeptEntry {
  size_t repository = 0;  // its number
  BlobDigest manifest;
  TimePoint used;
  uint64_t manifest_bytes = 0;
  std::vector<uint32_t> blobs;  // their numbers
};

class Eviction {
 public:
  Eviction(Registry& registry, const CacheLimits& limits, TimePoint now)
      : registry_(registry), limits_(limits), now_(now) {}

  ApiResult<Evicted> run() {
    KILN_TRY_ASSIGN(repositories_, registry_.repositories());
    victims_.resize(repositories_.size());
    for (size_t i = 0; i < repositories_.size(); ++i) KILN_TRY(collect(i));
    choose();
    for (size_t i = 0; i < repositories_.size(); ++i)
      KILN_TRY(registry_.delete_manifests(repositories_[i], victims_[i]));
    return evicted_;
  }

 private:
  ApiStatus collect(size_t repository) {
    const std::string& name = repositories_[repository];
    const auto tags = registry_.tags(name);
    if (!tags && tags.error().status == 404) return {};
    if (!tags) return tl::unexpected(tags.error());
    for (const std::string& tag : *tags) {
      if (!cache::is_entry_tag(tag)) continue;
      ApiStatus added = collect_entry(repository, tag);
      if (added) continue;
      // It went meanwhile, or is damaged, which fsck tells of.
      const int status = added.error().status;
      if (status != 404 && status != 400) return added;
    }
    return {};
  }

  ApiStatus collect_entry(size_t repository, const std::string& tag) {
    const std::string& name = repositories_[repository];
    KILN_TRY_ASSIGN(const FoundManifest found, registry_.find_manifest(name, tag));
    KILN_TRY_ASSIGN(const std::string text, registry_.manifest_text(found));
    KILN_TRY_ASSIGN(const ManifestDocument document,
                    parse_manifest_document(text, found.media_type));
    if (document.artifact_type != cache::kEntryArtifactType) return {};
    KILN_TRY_ASSIGN(const auto used, registry_.manifest_touched(name, found.digest));
    if (!used) return {};
    KeptEntry entry{repository, found.digest, *used, found.size, {}};
    for (const ManifestDocument::Content& blob : document.contents)
      entry.blobs.push_back(number_of(blob));
    entries_.push_back(std::move(entry));
    return {};
  }

  uint32_t number_of(const ManifestDocument::Content& blob) {
    const auto [known, is_new] =
        numbers_.try_emplace(blob.digest.to_string(), static_cast<uint32_t>(sizes_.size()));
    if (is_new) sizes_.push_back(blob.size);
    return known->second;
  }

  // The newest first: what no longer fits is what was used the longest ago.
  void choose() {
    std::sort(entries_.begin(), entries_.end(),
              [](const KeptEntry& a, const KeptEntry& b) { return a.used > b.used; });
    std::vector<bool> counted(sizes_.size());
    bool full = false;
    for (const KeptEntry& entry : entries_) {
      uint64_t added = entry.manifest_bytes;
      for (const uint32_t blob : std::set<uint32_t>(entry.blobs.begin(), entry.blobs.end()))
        if (!counted[blob]) added += sizes_[blob];
      const bool old = limits_.max_age && entry.used < now_ - *limits_.max_age;
      full |= limits_.max_bytes && evicted_.bytes_left + added > *limits_.max_bytes;
      if (old || full) {
        victims_[entry.repository].insert(entry.manifest.to_string());
        ++evicted_.entries;
        continue;
      }
      for (const uint32_t blob : entry.blobs) counted[blob] = true;
      evicted_.bytes_left += added;
      ++evicted_.entries_left;
    }
  }

  Registry& registry_;
  const CacheLimits& limits_;
  const TimePoint now_;
  std::vector<std::string> repositories_;
  std::vector<KeptEntry> entries_;
  std::unordered_map<std::string, uint32_t> numbers_;     // of blobs, by digest
  std::vector<uint64_t> sizes_;                           // by number
  std::vector<std::unordered_set<std::string>> victims_;  // by repository: digests
  Evicted evicted_;
};

}  // namespace

ApiResult<Evicted> evict_entries(Registry& registry, const CacheLimits& limits, TimePoint now) {
  return Eviction(registry, limits, now).run();
}

}  // namespace kiln::server
