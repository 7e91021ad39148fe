// A planned tree made real in a directory: the mounted active snapshot that was the plan's base.
#pragma once

#include <span>
#include <stop_token>

#include "solver/ops/planned_tree.h"

namespace kiln {

/// `sources` are what PlannedEntry::source counts. Files are copied in parallel on oneTBB (FICLONE,
/// copy_file_range). Directories that only got other entries keep their mtime, so that the outcome
/// does not depend on when it happened. On error the tree is left half-written: callers discard it.
/// kFailedPrecondition: a source file changed; kResourceExhausted: disk full; kCancelled.
Status plan_apply(const PlannedTree& plan, std::span<const TreeView* const> sources,
                  const Root& root, const std::stop_token& stop);

}  // namespace kiln
