// Where the machine's cgroup controllers are mounted, and where kiln is in them: version 1, version
// 2, or both at once ("hybrid", where each controller belongs to one of them). Parsing is pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kiln {

/// kDevices exists in version 1 only; version 2 has eBPF programs in its place.
enum class Controller : uint8_t { kPids, kMemory, kCpu, kCpuset, kDevices };
std::string_view to_string(Controller controller);

struct CgroupHierarchy {
  std::string mount_point;
  std::string own_group;  // absolute path of kiln's group, at or below mount_point
  bool operator==(const CgroupHierarchy&) const = default;
};

struct CgroupHierarchies {
  std::map<Controller, CgroupHierarchy> v1;
  std::optional<CgroupHierarchy> v2;
  // Of every hierarchy, also those whose controllers are not named above ("name=systemd").
  std::vector<std::string> v1_mount_points;
  bool operator==(const CgroupHierarchies&) const = default;

  bool is_hybrid() const { return !v1_mount_points.empty() && v2.has_value(); }
  bool is_absent() const { return v1_mount_points.empty() && !v2; }
};

/// From the text of /proc/self/mountinfo and /proc/self/cgroup. Lines that do not parse are
/// skipped.
CgroupHierarchies parse_cgroups(std::string_view mountinfo, std::string_view self_cgroup);
Result<CgroupHierarchies> detect_cgroups();

}  // namespace kiln
