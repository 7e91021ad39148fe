// How overlayfs options are spelled: the escapes of lowerdir=, and the same options with relative
// names. Nothing here touches the file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::internal {

/// Directories of layers, the lowest first, and the pair that makes a mount writable.
struct OverlayDirs {
  std::vector<std::string> lowers;
  std::string upper, work;  // empty: read-only
};

/// "lowerdir=top:…:bottom" and, if writable, "upperdir=…" and "workdir=…". Backslash, colon and
/// comma are escaped: the kernel splits at them.
std::vector<std::string> overlay_options(const OverlayDirs& dirs);

struct RelativeOverlay {
  std::string directory;             // to be in when mounting
  std::vector<std::string> options;  // names relative to it
};
/// `options` as overlay_options() makes them (others are kept as they are), all absolute.
RelativeOverlay make_relative(const std::vector<std::string>& options);

}  // namespace kiln::internal
