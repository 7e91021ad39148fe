// EXPOSE's arguments: "[ip:][host:]port[-port][/proto]" to "port/proto" (DOCKERFILE.md A.1).
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace kiln::frontend {

/// One entry for each port, ranges written out, in the order given. kInvalidArgument.
Result<std::vector<std::string>> parse_ports(const std::vector<std::string>& specs);

}  // namespace kiln::frontend
