// The Snapshotter of both kinds: rows, publication, leases, laziness and packing. How changes lie
// in directories is TreeKind's. Split over snapshotter.cc (life of snapshots), snapshot_layers.cc
// (between directories and blobs) and snapshot_removal.cc (durability and removal).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/guarded.h"
#include "oci/content_store.h"
#include "snapshotter/index.h"
#include "snapshotter/overlay.h"
#include "snapshotter/snapshotter.h"
#include "snapshotter/tree_kind.h"
#include "snapshotter/work_area.h"

namespace kiln::internal {

class SnapshotStore : public Snapshotter {
 public:
  /// Takes `config`'s directory as it is, without its kind file. Drops what a power cut has torn.
  static Result<std::unique_ptr<Snapshotter>> open(const SnapshotterConfig& config,
                                                   std::unique_ptr<TreeKind> kind);

  Result<std::unique_ptr<ActiveSnapshot>> prepare(const std::optional<SnapshotId>& parent,
                                                  const oci::Lease& lease,
                                                  std::stop_token stop) override;
  Result<std::unique_ptr<SnapshotView>> view(const SnapshotId& id, std::stop_token stop) override;
  using Snapshotter::add_layer;
  Result<SnapshotId> add_layer(const std::optional<SnapshotId>& parent, const oci::LayerBlob& layer,
                               const oci::Lease& lease,
                               std::optional<std::chrono::sys_seconds> made) override;
  Result<SnapshotId> restack(const std::optional<SnapshotId>& parent, const SnapshotId& layer_of,
                             const oci::Lease& lease) override;
  Result<SnapshotFacts> facts(const SnapshotId& id) override;
  Result<std::vector<SnapshotId>> chain(const SnapshotId& id) override;
  Result<bool> touch(const SnapshotId& id, const oci::Lease& lease) override;
  Result<oci::LayerBlob> layer_blob(const SnapshotId& id, oci::CompressionOptions wanted,
                                    const oci::Lease& lease, std::stop_token stop) override;
  Status sync() override;
  Result<uint64_t> remove_unreferenced(const std::vector<SnapshotId>& keep,
                                       uint64_t before) override;
  Result<std::vector<SnapshotId>> list() override;
  std::string_view kind() const override { return kind_->name(); }

 private:
  friend class StoredActive;
  friend class StoredView;
  using Chain = std::vector<SnapshotRow>;  // root first
  using Pins = std::map<int64_t, int>;     // snapshots in use by this process, and how often

  SnapshotStore(const SnapshotterConfig& config, std::unique_ptr<TreeKind> kind,
                SnapshotIndex index, std::unique_ptr<WorkArea> area)
      : database_(*config.database),
        leases_(*config.leases),
        content_(*config.content),
        directory_(config.directory),
        kind_(std::move(kind)),
        index_(std::move(index)),
        area_(std::move(area)) {}

  std::string path_of(int64_t directory) const {
    return directory_ + "/" + std::to_string(directory);
  }
  std::string lock_path(int64_t layer, const char* purpose) const;
  Ancestors directories_of(const Chain& chain) const;

  // The chain of `id`, stamped with the lease if one is given; kNotFound. In a transaction, so that
  // it is either there for good (a lease, a pin) or was never found.
  Result<Chain> load(const std::optional<SnapshotId>& id, const oci::Lease* lease);
  Result<Chain> find(const SnapshotId& id);  // only looks
  Result<Chain> load_in_transaction(int64_t id, const oci::Lease* lease);
  Result<bool> touch_lazy(const Chain& chain, const oci::Lease& lease);
  // True: the chain was found damaged, and what cannot be made from blobs has been dropped from it.
  Result<bool> drop_damaged(const Chain& chain);
  void pin(int64_t id);
  void unpin(int64_t id);

  Result<SnapshotId> commit(const std::string& directory, int64_t parent, uint64_t used_seq);
  // Renames `made` to its published place; inside the transaction that writes its row.
  Status publish(const std::string& made, int64_t number);
  Result<bool> shares_directory(int64_t parent, const SnapshotRow& source);
  Result<SnapshotId> insert_restacked(int64_t parent, const SnapshotRow& source, bool shares,
                                      const oci::Lease& lease);

  // snapshot_layers.cc
  Status unpack_lazy(Chain& chain, std::stop_token stop);
  Result<int64_t> unpack(const Chain& chain, size_t at, const std::stop_token& stop);
  Result<int64_t> unpack_blob(const LayerSource& layer, const SnapshotRow& row,
                              const Ancestors& below, const std::stop_token& stop);
  Result<std::optional<oci::LayerBlob>> known_blob(int64_t layer, oci::CompressionOptions wanted,
                                                   const oci::Lease& lease);
  Result<std::optional<oci::LayerBlob>> recompressed(int64_t layer, oci::CompressionOptions wanted,
                                                     const oci::Lease& lease,
                                                     const std::stop_token& stop);
  Result<oci::LayerBlob> pack(const SnapshotRow& row, oci::CompressionOptions wanted,
                              const oci::Lease& lease, const std::stop_token& stop);
  Result<Chain> chain_to_pack(const SnapshotRow& row);
  Status remember(int64_t layer, const oci::LayerBlob& blob, int level);
  Status forget(int64_t layer, const Digest& blob);
  Status check_diff_id(const SnapshotRow& row, const oci::LayerBlob& packed);
  Status drop_with_dependents(int64_t id);
  tl::unexpected<Error> drop_unreadable(const SnapshotRow& row);

  // snapshot_removal.cc
  Status drop_lost();
  Result<std::vector<int64_t>> choose_victims(const std::vector<SnapshotId>& keep, uint64_t before);
  Result<std::vector<std::string>> take_orphans();
  Result<uint64_t> remove_directories(const std::vector<int64_t>& directories);

  Database& database_;
  oci::Leases& leases_;
  oci::ContentStore& content_;
  const std::string directory_;
  const std::unique_ptr<TreeKind> kind_;
  SnapshotIndex index_;
  const std::unique_ptr<WorkArea> area_;
  Guarded<Pins> pins_;
  Guarded<std::set<int64_t>> intact_;  // directories that were looked at, or published, here
};

}  // namespace kiln::internal
