// COPY and ADD. Part of instructions.h; errors have no place yet.
#pragma once

#include "base/result.h"
#include "frontend/instructions.h"

namespace kiln::dockerfile {

Result<Copy> parse_copy(const Instruction& node);
Result<Add> parse_add(const Instruction& node);

}  // namespace kiln::dockerfile
