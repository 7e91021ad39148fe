// The environment of a step's process.
#pragma once

#include <string>
#include <vector>

#include "llb/op.h"

namespace kiln {

/// `meta`'s variables in order, then the proxy's (both spellings) where the name is not taken, then
/// `extra` in place of what has its name, then HOME if nobody set it: runtimes would otherwise each
/// find it in their own way. Pure.
std::vector<std::string> step_environment(const llb::ExecMeta& meta,
                                          const std::vector<std::string>& extra,
                                          const std::string& home);

}  // namespace kiln
