#include "solver/executor/cgroup_hierarchy.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/fs.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxProcBytes = 16U << 20U;
constexpr std::array kControllers = {Controller::kPids, Controller::kMemory, Controller::kCpu,
                                     Controller::kCpuset, Controller::kDevices};

struct MountLine {
  std::string root, mount_point, type, super_options;
};

// mountinfo writes blanks and backslashes of paths as octal: "\040".
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() && text[i + 1] >= '0' &&
                        text[i + 1] <= '3' && std::isdigit(text[i + 2]) != 0 &&
                        std::isdigit(text[i + 3]) != 0;
    if (!escape) {
      out += text[i];
      continue;
    }
    out +=
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return out;
}

// "36 35 98:0 /root /point rw,noatime shared:1 - cgroup cgroup rw,memory"
std::optional<MountLine> parse_line(std::string_view line) {
  const std::vector<std::string> fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 6 || fields.end() - dash < 4) return std::nullopt;
  return MountLine{unescape(fields[3]), unescape(fields[4]), *(dash + 1), *(dash + 3)};
}

// Controllers ("" for version 2) → the group kiln is in, as its cgroup namespace names it.
using Groups = std::map<std::string, std::string>;
Groups parse_groups(std::string_view self_cgroup) {
  Groups groups;
  for (const std::string& line : split(self_cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    for (const std::string& name : split(line.substr(first + 1, second - first - 1), ','))
      groups[name] = path;
  }
  return groups;
}

// A mount may show only a part of the hierarchy: its root is cut from the group's path. A group
// that lies outside ("/..") cannot be reached; the mount's root is the nearest.
CgroupHierarchy locate(const MountLine& mount, std::string_view group) {
  CgroupHierarchy out{mount.mount_point, mount.mount_point};
  if (group.find("/..") != std::string_view::npos) return out;
  if (mount.root != "/") {
    if (!group.starts_with(mount.root)) return out;
    group.remove_prefix(mount.root.size());
    if (!group.empty() && group[0] != '/') return out;
  }
  if (!group.empty() && group != "/") out.own_group += group;
  return out;
}

bool has_option(std::string_view options, std::string_view wanted) {
  const std::vector<std::string> all = split(options, ',');
  return std::find(all.begin(), all.end(), wanted) != all.end();
}

}  // namespace

std::string_view to_string(Controller controller) {
  switch (controller) {
    case Controller::kPids:
      return "pids";
    case Controller::kMemory:
      return "memory";
    case Controller::kCpu:
      return "cpu";
    case Controller::kCpuset:
      return "cpuset";
    case Controller::kDevices:
      return "devices";
  }
  return "";
}

CgroupHierarchies parse_cgroups(std::string_view mountinfo, std::string_view self_cgroup) {
  const Groups groups = parse_groups(self_cgroup);
  const auto group_of = [&](const std::string& name) {
    const auto found = groups.find(name);
    return found == groups.end() ? std::string("/") : found->second;
  };
  CgroupHierarchies out;
  for (const std::string& line : split(mountinfo, '\n')) {
    const auto mount = parse_line(line);
    if (!mount) continue;
    if (mount->type == "cgroup2" && !out.v2) out.v2 = locate(*mount, group_of(""));
    if (mount->type != "cgroup") continue;
    out.v1_mount_points.push_back(mount->mount_point);
    for (const Controller controller : kControllers)
      if (has_option(mount->super_options, to_string(controller)))
        out.v1.try_emplace(controller,
                           locate(*mount, group_of(std::string(to_string(controller)))));
  }
  return out;
}

Result<CgroupHierarchies> detect_cgroups() {
  KILN_TRY_ASSIGN(const std::string mounts, read_file("/proc/self/mountinfo", kMaxProcBytes));
  KILN_TRY_ASSIGN(const std::string groups, read_file("/proc/self/cgroup", kMaxProcBytes));
  return parse_cgroups(mounts, groups);
}

}  // namespace kiln
