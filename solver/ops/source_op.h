// SourceOp: images, OCI layouts, local directories, and what comes over the network (http.h,
// git.h).
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

/// What operations of one environment share besides it: made once by make_ops().
struct OpsState;
std::shared_ptr<OpsState> make_ops_state();

/// kUnimplemented: a scheme or an attribute kiln does not know; kNotFound: a local source that is
/// not given. `environment` must outlive the operation.
Result<std::unique_ptr<Operation>> make_source_op(const OpsEnvironment& environment,
                                                  std::shared_ptr<OpsState> state,
                                                  const llb::Vertex& vertex);

}  // namespace kiln
