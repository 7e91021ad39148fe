// The mounts of one RUN: made before it runs, gone after it. Owns every snapshot, mount, lock and
// secret file that the sandbox sees.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "solver/executor/executor.h"
#include "solver/ops/cache_mounts.h"
#include "solver/ops/ops.h"
#include "solver/ops/work_tree.h"

namespace kiln {

class ExecMounts {
 public:
  /// All borrowed for the life of this object.
  ExecMounts(const OpsEnvironment& environment, CacheMounts& caches, std::span<const RefPtr> inputs,
             JobContext& job);
  ~ExecMounts();

  /// kNotFound: a secret or an agent that is not given and not optional, a mount's source that is
  /// not there. Blocks while caches are locked.
  Status prepare(const llb::ExecOp& op);
  const std::string& rootfs() const { return rootfs_; }
  bool is_rootfs_read_only() const { return rootfs_read_only_; }
  /// Parents before what is mounted in them.
  const std::vector<SandboxMount>& mounts() const { return mounts_; }
  /// Unmounts everything and commits what are outputs; refs by output index. At most once.
  Result<std::vector<RefPtr>> commit();

 private:
  struct Held;
  Status add(const llb::ExecMount& mount);
  Status add_tree(const llb::ExecMount& mount);
  Status add_cache(const llb::ExecMount& mount);
  Status add_secret(const llb::ExecMount& mount);
  Status add_ssh(const llb::ExecMount& mount);
  Result<std::string> read_only_path(int input);
  Result<std::string> writable_path(const llb::ExecMount& mount);
  Result<std::string> select(const std::string& tree, const std::string& selector) const;
  Result<std::string> secret_directory();
  Status fill_cache(const llb::ExecMount& mount, const std::string& path);
  Result<TreeRef*> input_tree(int input) const;

  const OpsEnvironment& environment_;
  CacheMounts& caches_;
  const std::span<const RefPtr> inputs_;
  JobContext& job_;
  std::string rootfs_;
  bool rootfs_read_only_ = false;
  std::vector<SandboxMount> mounts_;
  std::map<int, WorkTree*> outputs_;  // owned by held_
  std::unique_ptr<Held> held_;
};

/// A secret by id; kNotFound unless `optional`, then nullopt.
enum class Optional : uint8_t { kNo, kYes };
Result<std::optional<std::string>> read_secret(const OpsEnvironment& environment,
                                               const std::string& id, Optional optional);

}  // namespace kiln
