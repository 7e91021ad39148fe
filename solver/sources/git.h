// Trees from git repositories (ADD of a repository; DOCKERFILE.md A4).
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

Result<std::unique_ptr<Operation>> make_git_op(const OpsEnvironment& environment,
                                               const llb::Vertex& vertex);

}  // namespace kiln
