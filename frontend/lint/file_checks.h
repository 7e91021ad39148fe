// The rules that the text alone decides: how it is written, not what it does. They cover the whole
// file, whatever the target.
#pragma once

#include "frontend/ast.h"
#include "frontend/instructions.h"
#include "frontend/lint/linter.h"

#include <vector>

namespace kiln::lint {

/// `instructions` are those of `ast` that could be parsed. One pass, linear in the file:
/// StageNameCasing, FromAsCasing, NoEmptyContinuation, ConsistentInstructionCasing,
/// DuplicateStageName, ReservedStageName, MaintainerDeprecated, FromPlatformFlagConstDisallowed,
/// InvalidDefinitionDescription.
void check_file(const dockerfile::Ast& ast,
                const std::vector<dockerfile::TypedInstruction>& instructions, Linter& linter);

}  // namespace kiln::lint
