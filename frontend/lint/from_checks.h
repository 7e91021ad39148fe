// The rules about FROM that depend on arguments or on the image.
#pragma once

#include "base/platform.h"
#include "frontend/environment.h"
#include "frontend/instructions.h"
#include "frontend/lint/linter.h"
#include "frontend/shell_lex.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::lint {

/// UndefinedArgInFrom. `undefined`: what FROM's words used and no argument defines; `known`: names
/// to choose from.
void check_from_args(const SourceRange& where, std::span<const std::string> undefined,
                     std::span<const std::string> known, Linter& linter);

/// RedundantTargetPlatform. `word` is --platform's value as written, `expansion` what became of it,
/// `args` what FROM sees.
void check_target_platform(const SourceRange& where, const std::string& word,
                           const dockerfile::Expansion& expansion,
                           const dockerfile::Environment& args, Linter& linter);

/// InvalidDefaultArgInFrom, for all stages. `predefined` are the arguments that exist without any
/// ARG. Only FROMs with variables are looked at: others are wrong or right for everybody.
void check_default_args(const std::vector<dockerfile::TypedInstruction>& instructions,
                        dockerfile::Environment predefined, char escape, Linter& linter);

/// InvalidBaseImagePlatform. An image that names no platform passes.
void check_base_platform(const SourceRange& where, const std::string& base, const Platform& got,
                         const Platform& expected, Linter& linter);

}  // namespace kiln::lint
