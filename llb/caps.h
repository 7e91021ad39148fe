// BuildKit's capability names (solver/pb/caps.go): what a vertex asks of whoever executes it. A
// daemon that does not know one refuses the definition with a clear message instead of ignoring a
// field.
#pragma once

#include "llb/op.h"

#include <set>
#include <string>

namespace kiln::llb {

/// The names for one vertex, as client/llb's Marshal would list them, plus those of the fields it
/// forgets.
std::set<std::string> capabilities(const Op& op, const Meta& meta);

}  // namespace kiln::llb
