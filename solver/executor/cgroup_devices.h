// Which devices a step may open: as in Docker, the harmless ones (/dev/null, zero, full, random,
// urandom, tty, and pseudo-terminals). Any node may be made, none but these opened: without this,
// CAP_MKNOD, or a device node in a base image, would be a way to the machine's disks.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace kiln {

/// A further device that may be used.
struct DeviceRule {
  char type = 'c';  // or 'b'
  uint32_t major = 0, minor = 0;
  std::string access;  // of "rwm"
};

/// Through the "devices" controller of version 1.
Status confine_devices_v1(const std::string& group, std::span<const DeviceRule> allowed = {});
/// Through an eBPF program attached to a group of version 2. Needs CAP_BPF or CAP_SYS_ADMIN.
Status confine_devices_v2(const std::string& group, std::span<const DeviceRule> allowed = {});

}  // namespace kiln
