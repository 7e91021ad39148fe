// FileOp: copy, mkfile, mkdir, rm and symlink (LLB.md C.1). All semantics are in the plan
// (file_plan.h); here is what enters the key and how a plan becomes a snapshot.
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

/// kInvalidArgument: indexes that lead nowhere. `environment` must outlive the operation.
Result<std::unique_ptr<Operation>> make_file_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex);

/// A view copied into a snapshot of its own; nullopt: it is empty.
Result<std::optional<SnapshotId>> materialize_view(const OpsEnvironment& environment,
                                                   const TreeView& view, std::stop_token stop);

}  // namespace kiln
