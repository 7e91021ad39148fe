// What devices add to a step's sandbox, with everything known that the runtime must be told: from
// the edits of CDI specs and a look at the device nodes that they name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "solver/executor/cdi_spec.h"

namespace kiln {

struct SandboxDevice {
  std::string path;  // below /dev
  char type = 'c';   // 'c', 'b' or 'p'
  uint32_t major = 0, minor = 0;
  std::optional<uint32_t> file_mode, uid, gid;  // unset: 0666, the step's user
  std::string access;                           // of "rwm"; empty: it cannot be opened
};
struct BoundPath {
  std::string source, target;
  bool read_only = false;
  std::vector<std::string> options;
};
struct DeviceEdits {
  std::vector<std::string> env;      // in place of what has the same name
  std::vector<SandboxDevice> nodes;  // of equal paths the last
  std::vector<BoundPath> mounts;
  std::vector<CdiHook> hooks;
  std::vector<uint32_t> additional_gids;
};

/// kInvalidArgument: a node outside of /dev, or where a sandbox has a file system of its own; a
/// type that is not the host's. kNotFound, kPermissionDenied: a device or a mount's source.
Result<DeviceEdits> resolve_devices(const CdiEdits& edits);

}  // namespace kiln
