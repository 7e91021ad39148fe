// From typed instructions to a graph and an image config: the second half of the frontend,
// DOCKERFILE.md A.1-A.8.
#pragma once

#include "frontend/frontend.h"
#include "frontend/instructions.h"

#include <vector>

namespace kiln::frontend {

/// `instructions` are those of the whole file, `escape` its escape character. Warnings of the
/// parser are the caller's. Errors as dockerfile_to_llb's.
Result<FrontendResult> convert(const FrontendRequest& request,
                               const std::vector<dockerfile::TypedInstruction>& instructions,
                               char escape, ImageConfigResolver& resolver, std::stop_token stop);

}  // namespace kiln::frontend
