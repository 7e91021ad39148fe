// --ulimit values that reach a step (runtime-spec config.md, "POSIX process").
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "llb/op.h"

namespace kiln {

/// kInvalidArgument: an unknown name, a soft limit above the hard one, or more than kiln may give:
/// without CAP_SYS_RESOURCE a hard limit can only be lowered.
Status check_ulimits(const std::vector<llb::Ulimit>& ulimits, uint64_t capabilities);

}  // namespace kiln
