// Whether an op makes sense in itself: every index it holds lies inside its inputs or earlier
// actions, every required text is there. The decoder's check of hostile input; builders get it for
// free in debug runs.
#pragma once

#include "llb/op.h"

#include <cstddef>

namespace kiln::llb {

/// "exec", "source", "file", "merge", "diff": for messages.
const char* kind_name(const Op& op);

/// kInvalidArgument with the first fault. `inputs`: how many inputs the vertex has.
/// File actions may use the results of earlier actions only, which rules out loops inside the op.
Status validate(const Op& op, size_t inputs);

}  // namespace kiln::llb
