#include "solver/ops/remote_ref.h"

#include "cache/remote_layers.h"
#include "solver/ops/snapshot_ref.h"

namespace kiln {

Result<std::optional<SnapshotId>> snapshot_of_layers(const OpsEnvironment& environment,
                                                     const CacheResult& result) {
  std::optional<SnapshotId> top;
  for (size_t i = 0; i < result.layers.size(); ++i) {
    const oci::LayerBlob& layer = result.layers[i];
    std::optional<std::chrono::sys_seconds> made;
    if (i < result.layer_times.size()) made = result.layer_times[i];
    KILN_TRY_ASSIGN(const bool present,
                    environment.content->touch(layer.descriptor.digest, *environment.lease));
    if (!present)
      return fail(Code::kNotFound, "layer " + layer.descriptor.digest.to_string() + " is gone");
    KILN_TRY_ASSIGN(top, environment.snapshotter->add_layer(top, layer, *environment.lease, made));
  }
  return top;
}

Result<TreeRef*> RemoteRef::fetched(const std::stop_token& stop) {
  const std::lock_guard hold(mutex_);
  if (!local_) {
    KILN_TRY(environment_.remote_layers->fetch(result_.layers, stop));
    KILN_TRY_ASSIGN(const auto id, snapshot_of_layers(environment_, result_));
    local_ =
        make_snapshot_ref(*environment_.snapshotter, id, environment_.scratch, result_.created);
  }
  return as_tree(*local_);
}

Result<std::optional<SnapshotId>> RemoteRef::snapshot(std::stop_token stop) {
  KILN_TRY_ASSIGN(TreeRef * tree, fetched(stop));
  return tree->snapshot(std::move(stop));
}

Result<std::unique_ptr<TreeView>> RemoteRef::open(std::stop_token stop) {
  KILN_TRY_ASSIGN(TreeRef * tree, fetched(stop));
  return tree->open(std::move(stop));
}

}  // namespace kiln
