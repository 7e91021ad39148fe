// MergeOp and DiffOp: trees put on each other and taken apart, by layers where that is possible.
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

/// kInvalidArgument: indexes that lead nowhere. `environment` must outlive the operations.
Result<std::unique_ptr<Operation>> make_merge_op(const OpsEnvironment& environment,
                                                 const llb::Vertex& vertex);
Result<std::unique_ptr<Operation>> make_diff_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex);

}  // namespace kiln
