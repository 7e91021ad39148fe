// The changes of a snapshot as a layer tar (image-spec layer.md; DOCKERFILE.md "Layer diff / tar rules"): sorted by path, parents
// of changed entries included, whiteouts as ".wh." files (mode 0, mtime 0), opaque directories expanded into deletes,
// directories that overlayfs merely copied up left out, hardlink groups consistent, sockets skipped.
#pragma once

#include "base/fs.h"
#include "base/io.h"

#include <cstdint>
#include <optional>
#include <stop_token>

namespace kiln {

/// `upper` is an overlayfs upper directory over the (merged) tree `lower` (nullptr: nothing below).
Status write_overlay_diff(const Root* lower, const Root& upper, Sink& tar, std::stop_token stop);

/// Both are whole trees; compares metadata and, where size and mtime alone cannot tell, contents.
Status write_tree_diff(const Root* lower, const Root& upper, Sink& tar, std::stop_token stop);

}  // namespace kiln
