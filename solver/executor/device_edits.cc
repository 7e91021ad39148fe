#include "solver/executor/device_edits.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/path.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr std::string_view kDevices = "/dev/";
constexpr std::array<std::string_view, 3> kOwnFileSystems = {"/dev/pts", "/dev/shm", "/dev/mqueue"};

// Elsewhere a node would be made in the root file system and stay in the layer.
Status check_place(const std::string& path) {
  const bool is_taken =
      std::any_of(kOwnFileSystems.begin(), kOwnFileSystems.end(), [&](std::string_view place) {
        return path == place || path.starts_with(std::string(place) + "/");
      });
  if (path.starts_with(kDevices) && path.size() > kDevices.size() && !is_taken) return {};
  return fail(Code::kInvalidArgument, "the device node " + quote(path) +
                                          " cannot be made: it must lie below /dev, and not "
                                          "in /dev/pts, /dev/shm or /dev/mqueue");
}

Result<char> type_of(const struct stat& st, const std::string& path) {
  if (S_ISCHR(st.st_mode)) return 'c';
  if (S_ISBLK(st.st_mode)) return 'b';
  if (S_ISFIFO(st.st_mode)) return 'p';
  return fail(Code::kInvalidArgument, quote(path) + " is not a device node");
}

// What the spec leaves out is the host's node's.
Status complete(const CdiDeviceNode& node, SandboxDevice& device) {
  const bool is_complete = !node.type.empty() && (node.type == "p" || node.major.value_or(0) != 0);
  if (is_complete) return {};
  const std::string& path = node.host_path.empty() ? node.path : node.host_path;
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return fail_errno("look at device", path);
  KILN_TRY_ASSIGN(const char type, type_of(st, path));
  if (!node.type.empty() && device.type != type)
    return fail(Code::kInvalidArgument,
                quote(path) + " is of type " + std::string(1, type) + ", not " + node.type);
  device.type = type;
  if (type == 'p') return {};
  device.major = major(st.st_rdev);
  device.minor = minor(st.st_rdev);
  return {};
}

Result<SandboxDevice> resolve_node(const CdiDeviceNode& node) {
  KILN_TRY(check_place(node.path));
  SandboxDevice device;
  device.path = node.path;
  if (!node.type.empty()) device.type = node.type == "u" ? 'c' : node.type.front();
  device.major = node.major.value_or(0);
  device.minor = node.minor.value_or(0);
  device.file_mode = node.file_mode;
  device.uid = node.uid;
  device.gid = node.gid;
  device.access = node.permissions.empty() ? "rwm" : node.permissions;
  if (device.access == "none") device.access.clear();
  KILN_TRY(complete(node, device));
  return device;
}

Result<BoundPath> resolve_mount(const CdiMount& mount) {
  struct stat st {};
  if (::stat(mount.host_path.c_str(), &st) != 0)
    return fail_errno("look at what a device mounts", mount.host_path);
  BoundPath bound{mount.host_path, mount.container_path, false, {}};
  for (const std::string& option : mount.options) {
    if (option == "ro") bound.read_only = true;
    if (option == "rw") bound.read_only = false;
    const bool is_said = option == "ro" || option == "rw" || option.ends_with("bind");
    if (!is_said) bound.options.push_back(option);
  }
  return bound;
}

}  // namespace

Result<DeviceEdits> resolve_devices(const CdiEdits& edits) {
  DeviceEdits out;
  out.env = edits.env;
  for (const CdiDeviceNode& node : edits.nodes) {
    KILN_TRY_ASSIGN(SandboxDevice device, resolve_node(node));
    std::erase_if(out.nodes, [&](const SandboxDevice& old) { return old.path == device.path; });
    out.nodes.push_back(std::move(device));
  }
  for (const CdiMount& mount : edits.mounts) {
    KILN_TRY_ASSIGN(BoundPath bound, resolve_mount(mount));
    std::erase_if(out.mounts, [&](const BoundPath& old) { return old.target == bound.target; });
    out.mounts.push_back(std::move(bound));
  }
  std::stable_sort(out.mounts.begin(), out.mounts.end(), [](const auto& a, const auto& b) {
    const auto depth = [](const std::string& path) {
      const std::string clean = clean_path(path);
      return std::count(clean.begin(), clean.end(), '/');
    };
    return depth(a.target) < depth(b.target);
  });
  out.hooks = edits.hooks;
  for (const uint32_t gid : edits.additional_gids)
    if (gid != 0) out.additional_gids.push_back(gid);  // CDI: group 0 is not given this way
  return out;
}

}  // namespace kiln
