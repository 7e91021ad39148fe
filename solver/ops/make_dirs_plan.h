// mkdir -p in a planned tree.
#pragma once

#include "solver/ops/planned_tree.h"

namespace kiln::internal {

/// Makes `path` and its parents with the owner, mode and mtime of `like` where they are absent.
/// Symlinks on the way are followed inside the tree; returns where it really is. kInvalidArgument:
/// something on the way is no directory.
Result<RelPath> plan_make_dirs(PlannedTree& tree, const RelPath& path, const PlannedEntry& like);

}  // namespace kiln::internal
