#include "solver/ops/work_tree.h"

#include "solver/ops/snapshot_ref.h"

namespace kiln {

Result<WritableMount> WritableMount::open(const std::vector<Mount>& mounts,
                                          const std::string& scratch) {
  WritableMount opened;
  if (mounts.size() == 1 && mounts.front().type == "bind") {
    opened.path_ = mounts.front().source;
    return opened;
  }
  KILN_TRY_ASSIGN(TempDir directory, TempDir::create(scratch, "mount-"));
  opened.directory_ = std::make_unique<TempDir>(std::move(directory));
  opened.path_ = opened.directory_->path();
  KILN_TRY_ASSIGN(MountPoint mount, MountPoint::mount(mounts, opened.path_));
  opened.mount_ = std::make_unique<MountPoint>(std::move(mount));
  return opened;
}

Status WritableMount::unmount() {
  if (!mount_) return {};
  KILN_TRY(mount_->unmount());
  mount_.reset();
  return {};
}

Result<std::unique_ptr<WorkTree>> WorkTree::create(const OpsEnvironment& environment, TreeRef* base,
                                                   std::stop_token stop) {
  std::optional<SnapshotId> parent;
  if (base != nullptr) {
    KILN_TRY_ASSIGN(parent, base->snapshot(stop));
  }
  std::unique_ptr<WorkTree> tree(new WorkTree(environment));
  KILN_TRY_ASSIGN(tree->active_,
                  environment.snapshotter->prepare(parent, *environment.lease, std::move(stop)));
  KILN_TRY_ASSIGN(tree->mount_, WritableMount::open(tree->active_->mounts(), environment.scratch));
  return tree;
}

Result<RefPtr> WorkTree::commit() {
  KILN_TRY(mount_->unmount());
  mount_.reset();
  KILN_TRY_ASSIGN(const SnapshotId id, active_->commit());
  active_.reset();
  return make_snapshot_ref(*environment_.snapshotter, id, environment_.scratch,
                           environment_.clock->now());
}

}  // namespace kiln
