// The outline of a target from its conversion. Internal to the frontend; outline.h is the way in.
#pragma once

#include "frontend/conversion.h"
#include "frontend/outline.h"

#include <string>
#include <vector>

namespace kiln::frontend {

/// `target` and what it needs are converted. `instructions` are those of the file.
Outline make_outline(const Conversion& c, const Stage& target,
                     const std::vector<dockerfile::TypedInstruction>& instructions);

/// What a comment says about `name`: the text after it on the line that begins with it.
std::string description_of(const dockerfile::Comments& comments, const std::string& name);

}  // namespace kiln::frontend
