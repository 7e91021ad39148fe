// A snapshot being written to: prepared, mounted where that is needed, and committed as a ref. One
// that is destroyed uncommitted leaves nothing.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "snapshotter/mount.h"
#include "solver/ops/ops.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

/// Mounts, made usable as a path: a single bind mount is its source directory, anything else is
/// mounted on a directory under `scratch`.
class WritableMount {
 public:
  static Result<WritableMount> open(const std::vector<Mount>& mounts, const std::string& scratch);
  const std::string& path() const { return path_; }
  /// Before the snapshot is committed. An error means that it must not be.
  Status unmount();

 private:
  WritableMount() = default;
  std::string path_;
  std::unique_ptr<TempDir> directory_;
  std::unique_ptr<MountPoint> mount_;
};

class WorkTree {
 public:
  /// On `base`'s snapshot; nullptr: on nothing. Blocks.
  static Result<std::unique_ptr<WorkTree>> create(const OpsEnvironment& environment, TreeRef* base,
                                                  std::stop_token stop);
  const std::string& path() const { return mount_->path(); }
  Result<Root> root() const { return Root::open(path()); }
  /// At most once. Every fd into the tree must be closed.
  Result<RefPtr> commit();

 private:
  explicit WorkTree(const OpsEnvironment& environment) : environment_(environment) {}
  const OpsEnvironment& environment_;
  std::unique_ptr<ActiveSnapshot> active_;
  std::optional<WritableMount> mount_;  // after active_: unmounted before the snapshot goes
};

}  // namespace kiln
