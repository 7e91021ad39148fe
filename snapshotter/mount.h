// Mounting, for kiln's own private mount namespace only: nothing is ever visible outside it, and
// the kernel unmounts all of it when the last process of the namespace is gone, however that came
// (SAFETY.md 2).
#pragma once

#include "base/fd.h"
#include "base/fs.h"
#include "snapshotter/types.h"

#include <memory>
#include <string>
#include <vector>

namespace kiln {

/// unshare(CLONE_NEWNS) and make everything private. Call once, before any thread is started.
/// kPermissionDenied without CAP_SYS_ADMIN.
Status enter_private_mount_namespace();

/// Mounts `mounts` over `target` (an existing directory); the destructor unmounts, lazily if busy.
/// overlay options longer than a page are handled by mounting from the snapshots directory with
/// relative names, on a thread with a working directory of its own (unshare(CLONE_FS)).
class MountPoint {
 public:
  static Result<MountPoint> mount(const std::vector<Mount>& mounts, std::string target);
  MountPoint(MountPoint&&) noexcept;
  MountPoint& operator=(MountPoint&&) noexcept;
  ~MountPoint();
  const std::string& path() const { return target_; }
  Result<Root> root() const;  // the mounted tree
  Status unmount();

 private:
  explicit MountPoint(std::string target) : target_(std::move(target)) {}
  std::string target_;
  int mounted_ = 0;  // how many lie on target_
};

/// A read-only tree to look into. With one read-only bind mount the source directory itself is
/// opened, without mounting; otherwise it is mounted on a fresh directory under `scratch`.
class MountedTree {
 public:
  static Result<MountedTree> open(const std::vector<Mount>& mounts, const std::string& scratch);
  const Root& root() const { return *root_; }
  const std::string& path() const { return path_; }

 private:
  MountedTree() = default;
  std::string path_;
  std::unique_ptr<TempDir> directory_;
  std::unique_ptr<MountPoint> mount_;
  std::unique_ptr<Root> root_;
};

}  // namespace kiln
