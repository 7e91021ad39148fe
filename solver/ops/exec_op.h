// ExecOp: RUN. What enters the key is in exec_key.h, what the sandbox sees in exec_mounts.h; the
// sandbox itself is the Executor's.
#pragma once

#include <memory>

#include "solver/ops/cache_mounts.h"
#include "solver/ops/ops.h"

namespace kiln {

/// kInvalidArgument: no root mount, or indexes that lead nowhere. kPermissionDenied: host network,
/// insecure mode or devices without leave. kNotFound: a device that is required is not there.
/// `environment` must outlive the operation.
Result<std::unique_ptr<Operation>> make_exec_op(const OpsEnvironment& environment,
                                                std::shared_ptr<CacheMounts> caches,
                                                const llb::Vertex& vertex);

}  // namespace kiln
