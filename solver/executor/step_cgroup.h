// The cgroup of one step. Either kiln makes it, sets the limits and has the runtime's process join
// before it starts (crun runs with its own manager disabled: it refuses some hybrid hierarchies,
// and this is quicker), or the runtime makes it at a path that kiln chose. kiln removes it in both
// cases. The memory controller is used only where memory is limited: each of its groups stays in
// the kernel until the page cache it was charged for is gone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "solver/executor/cgroup_devices.h"
#include "solver/executor/cgroup_settings.h"
#include "solver/executor/spec.h"

namespace kiln {

class StepCgroup {
 public:
  /// No group at all.
  StepCgroup() = default;
  struct Limits {
    llb::Resources resources;
    int64_t pids = 0;  // 0: none
    DeviceAccess devices = DeviceAccess::kConfined;
    std::vector<DeviceRule> allowed_devices;  // beside the usual ones
  };
  /// Makes the group. kFailedPrecondition with a hint if a limit that the user asked for cannot be
  /// set here; kiln's own default is left out then.
  static Result<StepCgroup> create(const CgroupHierarchies& hierarchies, const std::string& name,
                                   const Limits& limits);
  /// For a runtime that makes it: `runtime_path()` is what to tell it.
  static StepCgroup left_to_runtime(const CgroupHierarchies& hierarchies, const std::string& name);

  StepCgroup(StepCgroup&& other) noexcept = default;
  StepCgroup& operator=(StepCgroup&& other) noexcept;
  ~StepCgroup();  // as remove(), errors ignored

  const std::vector<std::string>& join_files() const { return join_files_; }
  const std::string& runtime_path() const { return runtime_path_; }
  /// kConfined if devices beyond the usual ones cannot be opened in this group.
  DeviceAccess devices() const { return devices_; }
  bool oom_killed() const;
  uint64_t peak_memory_bytes() const;  // 0: unknown
  /// Kills what is left in it and removes it. kUnavailable if it stays busy for a second.
  Status remove();

 private:
  Result<std::string> directory_for(Controller controller, const CgroupHierarchies& hierarchies,
                                    const std::string& name);
  Status apply(const std::vector<CgroupSetting>& settings, const CgroupHierarchies& hierarchies,
               const std::string& name);
  void confine_devices(const CgroupHierarchies& hierarchies, const std::string& name,
                       std::span<const DeviceRule> allowed);

  std::vector<std::string> directories_;
  std::vector<std::string> join_files_;
  std::string memory_directory_;  // empty: memory is not accounted
  std::string runtime_path_;
  DeviceAccess devices_ = DeviceAccess::kUnconfined;
};

/// Removes groups named `prefix`… that nobody is in: what a killed kiln left.
void sweep_cgroups(const CgroupHierarchies& hierarchies, const std::string& prefix);

}  // namespace kiln
