// Files from http and https servers (ADD of a URL; DOCKERFILE.md A3).
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

Result<std::unique_ptr<Operation>> make_http_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex);

}  // namespace kiln
