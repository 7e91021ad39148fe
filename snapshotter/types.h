// What the snapshotter and the executor share: mounts and snapshot names, plain data.
#pragma once

#include <compare>
#include <string>
#include <vector>

namespace kiln {

/// As mount(8) spells them: type "bind" or "overlay", options "ro", "lowerdir=…".
struct Mount {
  std::string type, source;
  std::vector<std::string> options;
  bool operator==(const Mount&) const = default;
};

/// A committed snapshot in the local index: a decimal number, short because overlayfs options are
/// bounded by a page.
struct SnapshotId {
  std::string value;
  auto operator<=>(const SnapshotId&) const = default;
};

}  // namespace kiln
