// What a file op's actions do to a tree (DOCKERFILE.md A.6: C2–C5, C7–C11, C13–C15). Nothing is
// read but names and metadata, nothing is written: the outcome is in the PlannedTree. Error texts
// of C7 are those users know from BuildKit.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "llb/op.h"
#include "solver/ops/copy_selection.h"
#include "solver/ops/owner.h"
#include "solver/ops/planned_tree.h"

namespace kiln {

/// The mtime of what an action creates out of nothing and the user gave no time: the same in every
/// build, so that equal steps give equal layers. 1980-01-01, because zip files (wheels, jars)
/// cannot hold less.
constexpr int64_t kFixedTime = 315532800;

struct PlanOptions {
  std::optional<Owner> owner;
  std::optional<int64_t> source_date_epoch;  // seconds; of mkdir, mkfile and symlink without a time
};

/// Where a copy reads.
struct PlanSource {
  const TreeView* view = nullptr;
  int index = 0;  // PlannedEntry::source
};

/// Copies one match of `copy`. kInvalidArgument: `cannot copy to non-directory: /x`, `cannot
/// replace to directory /x with file`.
Status plan_copy(PlannedTree& tree, const llb::CopyAction& copy, const CopyMatch& match,
                 const PlanSource& source, const PlanOptions& options, const std::stop_token& stop);
/// The directory into which an archive is unpacked, made if it is absent; resolved.
Result<RelPath> plan_unpack_directory(PlannedTree& tree, const llb::CopyAction& copy,
                                      const PlanOptions& options);
Status plan_mkdir(PlannedTree& tree, const llb::MkDirAction& mkdir, const PlanOptions& options);
Status plan_mkfile(PlannedTree& tree, const llb::MkFileAction& mkfile, const PlanOptions& options);
Status plan_rm(PlannedTree& tree, const llb::RmAction& rm);
Status plan_symlink(PlannedTree& tree, const llb::SymlinkAction& symlink,
                    const PlanOptions& options);

}  // namespace kiln
