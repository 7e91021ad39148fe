// The changes of a snapshot as a layer tar (image-spec layer.md; DOCKERFILE.md "Layer diff / tar
// rules"): sorted by path, parents of changed entries included, whiteouts as ".wh." files (mode 0,
// mtime 0), opaque directories expanded into deletes, directories that overlayfs merely copied up
// left out, hardlink groups consistent, sockets skipped.
#pragma once

#include "base/fs.h"
#include "base/io.h"

#include <cstdint>
#include <stop_token>
#include <string>

namespace kiln {

/// kInvalidArgument if a layer cannot hold `path`: its name would be read as a mark of deletion.
Status check_layer_name(const RelPath& path);

/// An overlayfs upper directory and the merged tree it lies on.
struct OverlayTrees {
  const Root* lower = nullptr;  // nothing below
  const Root* upper = nullptr;
  std::string xattrs = "trusted.overlay.";  // prefix of overlayfs's xattrs in `upper`
};

/// Both differs: kInvalidArgument for a name that begins with ".wh.", kFailedPrecondition for a
/// file that changes meanwhile, kCancelled. Block; nobody may write to the trees. Small files are
/// read ahead in parallel; the order of entries is that of a walk with sorted names, and does not
/// depend on threads.
Status write_overlay_diff(const OverlayTrees& trees, Sink& tar, std::stop_token stop);

/// Both are whole trees (`lower` nullptr: empty). Files whose metadata agree are compared by
/// content, unless they are one inode: size and mtime can be forged by a step that sets the time
/// back.
Status write_tree_diff(const Root* lower, const Root& upper, Sink& tar, std::stop_token stop);

}  // namespace kiln
