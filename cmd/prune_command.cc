// `kiln prune`: cache records by age or size, then the trees and blobs that nothing names any more.
// Safe beside running builds: see oci/lease.h.
#include <cstdio>
#include <map>

#include "base/strings.h"
#include "cache/prune.h"
#include "cmd/commands.h"
#include "cmd/image_lookup.h"

namespace kiln::cmd {
namespace {

class Pruner {
 public:
  Pruner(Engine& engine, const PruneOptions& options) : engine_(engine), options_(options) {}

  Result<uint64_t> run() {
    // Read before anything is listed: whatever a build made that ends meanwhile carries a number at
    // or above it.
    KILN_TRY(engine_.database().write([&]() -> Status {
      KILN_TRY_ASSIGN(before_, engine_.leases().oldest_live());
      return {};
    }));
    KILN_TRY(drop_dangling_images());
    KILN_TRY(drop_records());
    KILN_TRY_ASSIGN(const uint64_t trees, remove_trees());
    KILN_TRY_ASSIGN(const uint64_t blobs, remove_blobs());
    return trees + blobs;
  }

 private:
  Status drop_dangling_images() {
    KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> images, engine_.images().list());
    for (const oci::StoredImage& image : images)
      if (image.name.empty()) KILN_TRY(engine_.images().remove(image.descriptor.digest));
    return {};
  }

  // The cache is kept unless the user said what of it may go.
  Status drop_records() {
    KILN_TRY_ASSIGN(const std::vector<Held> downloads, held_downloads());
    if (!options_.all && options_.keep_storage.empty() && options_.until.empty()) return {};
    kiln::PruneOptions limits;
    limits.now = Clock::system().now();
    if (!options_.keep_storage.empty()) {
      KILN_TRY_ASSIGN(limits.keep_bytes, parse_ram_bytes(options_.keep_storage));
    }
    if (!options_.until.empty()) {
      KILN_TRY_ASSIGN(limits.unused_for, parse_duration(options_.until));
    }
    KILN_TRY_ASSIGN(const std::vector<StoredRecord> stored, engine_.cache().list());
    std::vector<PruneRecord> records;
    records.reserve(stored.size() + downloads.size());
    for (const StoredRecord& record : stored)
      records.push_back({record.key, record.result.local_ref, record.last_used});
    KILN_TRY_ASSIGN(std::vector<StoredTree> trees, stored_trees());
    std::map<CacheKey, std::string> keys;  // of downloads
    for (const Held& download : downloads) {
      records.push_back({download.key, download.tree.id, download.stored.last_used});
      trees.push_back(download.tree);
      keys[download.key] = download.stored.key;
    }
    const PrunePlan plan = plan_prune(records, trees, limits);
    return give_up(plan.victims, keys);
  }

  /// A download beside the trees that are made of it: one order of use decides over both.
  struct Held {
    StoredDownload stored;
    CacheKey key;
    StoredTree tree;
  };
  /// Those whose content is here; the others are of no use any more, and go.
  Result<std::vector<Held>> held_downloads() {
    KILN_TRY_ASSIGN(const std::vector<StoredDownload> stored, engine_.downloads().list());
    std::vector<Held> held;
    std::vector<std::string> useless;
    for (const StoredDownload& download : stored) {
      KILN_TRY_ASSIGN(const std::optional<uint64_t> bytes, engine_.content().size(download.digest));
      if (bytes)
        held.push_back({download, CacheKey{Digest::of("download " + download.key)},
                        StoredTree{"download " + download.key, "", *bytes}});
      else
        useless.push_back(download.key);
    }
    KILN_TRY(engine_.downloads().remove(useless));
    return held;
  }

  Result<std::vector<StoredTree>> stored_trees() {
    KILN_TRY_ASSIGN(const std::vector<SnapshotId> ids, engine_.snapshots().list());
    std::vector<StoredTree> trees;
    trees.reserve(ids.size());
    for (const SnapshotId& id : ids) {
      const Result<SnapshotFacts> facts = engine_.snapshots().facts(id);
      if (facts)
        trees.push_back({id.value, facts->parent ? facts->parent->value : "", facts->size_bytes});
    }
    return trees;
  }

  Status give_up(const std::vector<CacheKey>& victims,
                 const std::map<CacheKey, std::string>& keys_of_downloads) {
    std::vector<CacheKey> records;
    std::vector<std::string> downloads;
    for (const CacheKey& victim : victims) {
      const auto download = keys_of_downloads.find(victim);
      if (download == keys_of_downloads.end())
        records.push_back(victim);
      else
        downloads.push_back(download->second);
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
  const PruneOptions& options_;
  uint64_t before_ = 0;
};

}  // namespace

CommandResult run_prune(const PruneOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine_to_free(options.global, invocation));
  KILN_CMD_TRY_ASSIGN(const uint64_t freed, Pruner(*engine, options).run());
  (void)std::printf("Total reclaimed space: %s\n",
                    human_bytes(freed).c_str());  // a closed stdout shows in the shell, not here
  return {};
}

}  // namespace kiln::cmd
