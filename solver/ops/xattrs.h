// The extended attributes that file operations carry from tree to tree: user.* and
// security.capability (DOCKERFILE.md C16). What else a file system keeps there (labels, ACLs,
// overlayfs's own) is the machine's, not the image's.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace kiln {

using Xattrs = std::vector<std::pair<std::string, std::string>>;  // sorted by name

/// What can be read through an open file or directory. Empty where there is no support.
Xattrs read_xattrs(const Fd& fd);
/// Best effort: a file system that refuses an attribute does not fail a copy.
void write_xattrs(const Fd& fd, const Xattrs& xattrs);

}  // namespace kiln
