// The rules about what a stage does, checked while it is converted, because they depend on values
// of variables and on what the base brings. A build looks only at the stages it needs.
#pragma once

#include "base/pattern_matcher.h"
#include "frontend/environment.h"
#include "frontend/instructions.h"
#include "frontend/lint/linter.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::lint {

/// What the rules remember of one stage.
struct StageMemory {
  bool has_workdir = false;  // of the stage or of one it is built on, but not of an image
  std::map<std::string, SourceRange, std::less<>> once;  // CMD, ENTRYPOINT, HEALTHCHECK so far
};

/// UndefinedVar. `known`: the environment that the names were looked up in.
void check_variables(const SourceRange& where, std::span<const std::string> undefined,
                     const dockerfile::Environment& known, Linter& linter);

/// JSONArgsRecommended, of CMD and ENTRYPOINT. Whoever chose a SHELL wants it.
enum class Shell : uint8_t { kDefault, kChosen };
void check_command_form(const dockerfile::TypedInstruction& instruction,
                        const dockerfile::CommandLine& command, Shell shell, Linter& linter);

/// MultipleInstructionsDisallowed, at the one that has no effect.
void check_once(const dockerfile::TypedInstruction& instruction, StageMemory& memory,
                Linter& linter);

/// WorkdirRelativePath. `path` is expanded.
void check_workdir(const SourceRange& where, const std::string& path, StageMemory& memory,
                   Linter& linter);

/// LegacyKeyValueFormat, of ENV and LABEL.
void check_pair_format(const dockerfile::TypedInstruction& instruction, Linter& linter);

/// SecretsUsedInArgOrEnv. `keyword`: "ARG" or "ENV".
void check_secret_name(const SourceRange& where, std::string_view keyword, std::string_view name,
                       Linter& linter);

/// ExposeProtoCasing and ExposeInvalidFormat. `spec` is expanded, and a valid one.
void check_port(const SourceRange& where, std::string_view spec, Linter& linter);

/// CopyIgnoredFile.
class IgnoredSources {
 public:
  /// Patterns of the build context's ignore file; borrowed, compiled on the first question. With
  /// exceptions among them nothing is reported: a directory may be excluded and its files not.
  explicit IgnoredSources(const std::vector<std::string>& patterns) : patterns_(patterns) {}
  /// `source`: of the build context, expanded. `keyword`: "Copy" or "Add".
  void check(const SourceRange& where, std::string_view keyword, const std::string& source,
             Linter& linter);

 private:
  const std::vector<std::string>& patterns_;
  std::optional<PatternMatcher> matcher_;
};

}  // namespace kiln::lint
