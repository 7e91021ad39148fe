// File trees as chains of layers. A snapshot is a parent plus one layer of changes, immutable once
// committed. Its layer has up to two forms: a directory of changes (overlayfs upper layout, or a
// full copy with the copying kind) and layer blobs in the content store. Either can be made from
// the other, so a pulled or copied layer is not unpacked until someone mounts it
// ("lazy"), and a RUN's changes are not packed until someone exports them. Life: active ->
// committed, as types.
//
// Durability: committed snapshots are made durable together by sync() (one syncfs a build). A
// snapshot whose boot id is not this boot's and that was never synced is dropped, with all that
// stands on it, when it is met (SAFETY.md 3.2).
#pragma once

#include "base/digest.h"
#include "base/progress.h"
#include "base/result.h"
#include "oci/compression.h"
#include "oci/content_store.h"
#include "snapshotter/types.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln {

/// Writable. Destroying it uncommitted removes it.
class ActiveSnapshot {
 public:
  virtual ~ActiveSnapshot() = default;
  /// How to mount it; nothing is mounted yet. Mounts are for this mount namespace (mount.h).
  virtual const std::vector<Mount>& mounts() const = 0;
  /// At most once, after everything is unmounted. The result never changes.
  virtual Result<SnapshotId> commit() = 0;
};

/// Read-only. Keeps the snapshot from removal by this process.
class SnapshotView {
 public:
  virtual ~SnapshotView() = default;
  virtual const std::vector<Mount>& mounts() const = 0;
};

struct SnapshotFacts {
  std::optional<SnapshotId> parent;
  bool has_directory = false;         // false: lazy
  std::string directory;              // its name: who has the same shares it; "": lazy
  std::vector<oci::LayerBlob> blobs;  // known packed forms
  uint64_t size_bytes = 0;  // of the layer, parents not counted (st_blocks of the directory)
  std::string description;  // for `du`; what made it
  std::chrono::sys_time<std::chrono::nanoseconds>
      created{};  // when the layer was made: history's `created`
};

/// Thread-safe, and safe for several kiln processes on one root. Outlives the active snapshots and
/// views it gave out.
class Snapshotter {
 public:
  virtual ~Snapshotter() = default;
  /// A writable snapshot on `parent` (nullopt: empty). Unpacks lazy ancestors first. Blocks.
  virtual Result<std::unique_ptr<ActiveSnapshot>> prepare(const std::optional<SnapshotId>& parent,
                                                          const oci::Lease& lease,
                                                          std::stop_token stop) = 0;
  /// Unpacks what is lazy. kNotFound.
  virtual Result<std::unique_ptr<SnapshotView>> view(const SnapshotId& id,
                                                     std::stop_token stop) = 0;
  /// A snapshot whose layer is `layer`, lazily. The same parent and diff ID give the same snapshot.
  /// `made`: of a new one; nullopt: now.
  virtual Result<SnapshotId> add_layer(const std::optional<SnapshotId>& parent,
                                       const oci::LayerBlob& layer, const oci::Lease& lease,
                                       std::optional<std::chrono::sys_seconds> made) = 0;
  Result<SnapshotId> add_layer(const std::optional<SnapshotId>& parent, const oci::LayerBlob& layer,
                               const oci::Lease& lease) {
    return add_layer(parent, layer, lease, std::nullopt);
  }
  /// A snapshot on `parent` with the layer (in all its forms, shared on disk) of `layer_of`: merge
  /// without copying.
  virtual Result<SnapshotId> restack(const std::optional<SnapshotId>& parent,
                                     const SnapshotId& layer_of, const oci::Lease& lease) = 0;
  /// kNotFound. The first call for a directory walks it for its size, which is then remembered.
  virtual Result<SnapshotFacts> facts(const SnapshotId& id) = 0;
  /// Root first, `id` last.
  virtual Result<std::vector<SnapshotId>> chain(const SnapshotId& id) = 0;
  /// Marks `id` and its ancestors as used by `lease`, in one transaction; false: gone (or lost in a
  /// crash).
  virtual Result<bool> touch(const SnapshotId& id, const oci::Lease& lease) = 0;
  /// The layer of `id` as a blob of the wanted compression: a known one, a recompressed one or one
  /// packed from the directory; remembered for the next time. Concurrent calls for one layer pack
  /// it once. A layer keeps its diff ID: kDataLoss, and the snapshot is dropped with all that
  /// stands on it, where the blob of somebody else's layer is gone and its directory gives other
  /// bytes. Blocks.
  virtual Result<oci::LayerBlob> layer_blob(const SnapshotId& id, oci::CompressionOptions wanted,
                                            const oci::Lease& lease, std::stop_token stop) = 0;
  /// Makes everything committed so far survive a power cut.
  virtual Status sync() = 0;
  /// For pruning: removes what is not in `keep`, not an ancestor of a kept one and not used by a
  /// live lease. Bytes freed.
  /// `before`: the pruner's bound, Leases::oldest_live() as it was before it collected `keep`; what
  /// a build used that has ended since stays, although no live lease guards it any more.
  virtual Result<uint64_t> remove_unreferenced(const std::vector<SnapshotId>& keep,
                                               uint64_t before = UINT64_MAX) = 0;
  /// All committed snapshots, for `du` and prune.
  virtual Result<std::vector<SnapshotId>> list() = 0;
  /// "overlay" or "copy".
  virtual std::string_view kind() const = 0;
};

}  // namespace kiln
