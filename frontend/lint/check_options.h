// What a file says about its own checking: "# check=skip=A,B;error=true;experimental=C" at its top,
// or the build argument BUILDKIT_DOCKERFILE_CHECK in its place (DOCKERFILE.md A.0, "check").
#pragma once

#include "base/result.h"
#include "frontend/lint/rules.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::lint {

enum class Violations : uint8_t { kWarn, kFail };

struct CheckOptions {
  CheckOptions();                             // every rule but the experimental ones
  RuleSet enabled;                            // "skip" says nothing about experimental rules
  Violations violations = Violations::kWarn;  // "error=true"
  std::vector<std::string> unknown;           // names that are no rule's, as written
};

/// kInvalidArgument `invalid check option "x"`, `failed to parse check option "error=x": …`.
/// Unknown rules are no error: the next BuildKit may know them.
Result<CheckOptions> parse_check_options(std::string_view text);

/// A check comment above one instruction can only skip rules.
struct Skips {
  RuleSet rules;
  std::vector<std::string> unknown;
};
/// What cannot be read says nothing: it is a comment first of all.
Skips parse_skips(std::string_view text);

}  // namespace kiln::lint
