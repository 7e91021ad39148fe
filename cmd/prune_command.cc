// `kiln prune`: dangling images, what the options say of the build cache, then the trees and blobs
// that nothing names any more. Safe beside running builds: see oci/lease.h.
#include <sys/statvfs.h>

#include <cstdio>
#include <map>
#include <set>

#include "base/strings.h"
#include "cache/prune.h"
#include "cmd/commands.h"
#include "cmd/item_filter.h"
#include "cmd/store_items.h"
#include "solver/ops/cache_mounts.h"

namespace kiln::cmd {
namespace {

struct Limits {
  ItemFilter filter;
  SpaceLimits space;
};

Result<Limits> parse_limits(const PruneOptions& options) {
  std::vector<std::string> filters = options.filters;
  if (!options.until.empty()) filters.push_back("until=" + options.until);
  KILN_TRY_ASSIGN(ItemFilter filter, ItemFilter::parse(filters, Clock::system().now()));
  Limits limits{std::move(filter), {}};
  const auto bytes = [](const std::string& text, const char* option,
                        std::optional<uint64_t>& into) -> Status {
    if (text.empty()) return {};
    Result<uint64_t> parsed = parse_ram_bytes(text);
    if (!parsed) return tl::unexpected(parsed.error().wrap(option));
    into = *parsed;
    return {};
  };
  KILN_TRY(bytes(options.reserved_space, "--reserved-space", limits.space.reserved_bytes));
  KILN_TRY(bytes(options.max_used_space, "--max-used-space", limits.space.max_used_bytes));
  KILN_TRY(bytes(options.min_free_space, "--min-free-space", limits.space.min_free_bytes));
  return limits;
}

Result<uint64_t> free_bytes(const std::string& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0)
    return fail_errno("look at the space of", directory);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

struct Pruned {
  std::vector<std::string> images, cache;  // digests; ids
  uint64_t bytes = 0;
};

class Pruner {
 public:
  Pruner(Engine& engine, const Limits& limits) : engine_(engine), limits_(limits) {}

  Result<Pruned> run(bool with_cache) {
    // Read before anything is listed: whatever a build made that ends meanwhile carries a number at
    // or above it.
    KILN_TRY(engine_.database().write([&]() -> Status {
      KILN_TRY_ASSIGN(before_, engine_.leases().oldest_live());
      return {};
    }));
    KILN_TRY_ASSIGN(items_, store_items(engine_));
    KILN_TRY(drop_dangling_images());
    KILN_TRY(drop_useless_downloads());
    if (with_cache) KILN_TRY(drop_cache());
    KILN_TRY_ASSIGN(const uint64_t trees, remove_trees());
    KILN_TRY_ASSIGN(const uint64_t blobs, remove_blobs());
    pruned_.bytes += trees + blobs;
    return std::move(pruned_);
  }

 private:
  Status drop_dangling_images() {
    for (const StoreItem& item : items_) {
      if (!item.dangling_image || !limits_.filter.accepts(item)) continue;
      KILN_TRY(engine_.images().remove(*item.dangling_image));
      pruned_.images.push_back(item.dangling_image->to_string());
    }
    return {};
  }

  // Those whose content is gone.
  Status drop_useless_downloads() {
    KILN_TRY_ASSIGN(const std::vector<StoredDownload> stored, engine_.downloads().list());
    std::vector<std::string> useless;
    for (const StoredDownload& download : stored) {
      KILN_TRY_ASSIGN(const std::optional<uint64_t> bytes, engine_.content().size(download.digest));
      if (!bytes) useless.push_back(download.key);
    }
    return engine_.downloads().remove(useless);
  }

  // One order of use decides over steps, downloads and cache mounts: each is a record of a tree.
  Status drop_cache() {
    std::vector<PruneRecord> records;
    std::vector<StoredTree> trees;
    std::map<CacheKey, size_t> owners;  // of records: their items
    for (size_t i = 0; i < items_.size(); ++i) {
      const StoreItem& item = items_[i];
      std::vector<CacheKey> keys = item.records;
      std::string tree = item.snapshot;
      if (!item.download.empty() || !item.cache_mount.empty()) {
        tree = item.type + " " + item.download + item.cache_mount;
        keys = {CacheKey{Digest::of(tree)}};
      }
      if (!tree.empty())
        trees.push_back({tree, item.parents.empty() ? "" : item.parents.front(), item.bytes});
      for (const CacheKey& key : keys) {
        records.push_back(
            {key, tree, item.last_used, !item.in_use && limits_.filter.accepts(item)});
        owners[key] = i;
      }
    }
    KILN_TRY_ASSIGN(const uint64_t free, free_bytes(engine_.layout().directory));
    const auto keep = bytes_to_keep(limits_.space, held_bytes(records, trees), free);
    return give_up(plan_prune(records, trees, keep).victims, owners);
  }

  Status give_up(const std::vector<CacheKey>& victims, const std::map<CacheKey, size_t>& owners) {
    const CacheMounts mounts(engine_.layout().cache_mounts(), nullptr);
    std::vector<CacheKey> records;
    std::vector<std::string> downloads;
    std::set<size_t> listed;
    for (const CacheKey& victim : victims) {
      const size_t index = owners.at(victim);
      const StoreItem& item = items_[index];
      if (!item.download.empty()) {
        downloads.push_back(item.download);
      } else if (!item.cache_mount.empty()) {
        KILN_TRY_ASSIGN(const uint64_t bytes, mounts.remove(item.cache_mount));
        pruned_.bytes += bytes;
      } else {
        records.push_back(victim);
      }
      if (listed.insert(index).second) pruned_.cache.push_back(item.id);
    }
    KILN_TRY(engine_.downloads().remove(downloads));
    return engine_.cache().remove(records, before_);
  }

  Result<uint64_t> remove_trees() {
    KILN_TRY_ASSIGN(const std::vector<StoredRecord> stored, engine_.cache().list());
    std::vector<SnapshotId> keep;
    for (const StoredRecord& record : stored)
      if (!record.result.local_ref.empty()) keep.push_back({record.result.local_ref});
    return engine_.snapshots().remove_unreferenced(keep, before_);
  }

  Result<uint64_t> remove_blobs() {
    std::vector<Digest> keep;
    KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> images, engine_.images().list());
    for (const oci::StoredImage& image : images) {
      KILN_TRY_ASSIGN(const std::vector<Digest> blobs,
                      oci::reachable_blobs(engine_.content(), image.descriptor));
      keep.insert(keep.end(), blobs.begin(), blobs.end());
    }
    KILN_TRY_ASSIGN(const std::vector<SnapshotId> ids, engine_.snapshots().list());
    for (const SnapshotId& id : ids) {
      const Result<SnapshotFacts> facts = engine_.snapshots().facts(id);
      if (!facts) continue;  // removed by another pruner meanwhile
      for (const oci::LayerBlob& blob : facts->blobs) keep.push_back(blob.descriptor.digest);
    }
    KILN_TRY_ASSIGN(const std::vector<StoredDownload> downloads, engine_.downloads().list());
    for (const StoredDownload& download : downloads) keep.push_back(download.digest);
    return engine_.content().remove_unreferenced(keep, before_);
  }

  Engine& engine_;
  const Limits& limits_;
  uint64_t before_ = 0;
  std::vector<StoreItem> items_;
  Pruned pruned_;
};

// As `docker system prune`.
std::string report(const Pruned& pruned) {
  std::string text;
  if (!pruned.images.empty()) {
    text += "Deleted Images:\n";
    for (const std::string& image : pruned.images) text += "deleted: " + image + "\n";
    text += "\n";
  }
  if (!pruned.cache.empty())
    text += "Deleted build cache objects:\n" + join(pruned.cache, "\n") + "\n\n";
  return text + "Total reclaimed space: " + human_bytes(pruned.bytes) + "\n";
}

}  // namespace

CommandResult run_prune(const PruneOptions& options, const Invocation& invocation) {
  const Result<Limits> limits = parse_limits(options);
  if (!limits) return usage_failure(limits.error());
  const bool with_cache = options.all || !limits->filter.empty() || limits->space.reserved_bytes ||
                          limits->space.max_used_bytes || limits->space.min_free_bytes;
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine_to_free(options.global, invocation));
  KILN_CMD_TRY_ASSIGN(const Pruned pruned, Pruner(*engine, *limits).run(with_cache));
  (void)std::fputs(report(pruned).c_str(), stdout);  // main sees whether it arrived
  return {};
}

}  // namespace kiln::cmd
