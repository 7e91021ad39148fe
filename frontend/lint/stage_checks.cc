#include "frontend/lint/stage_checks.h"

#include <algorithm>
#include <array>

#include "base/path.h"
#include "base/strings.h"

namespace kiln::lint {
namespace {

/// Does one of the words between underscores stand in `list`?
template <size_t N>
bool has_word(std::string_view name, const std::array<std::string_view, N>& list) {
  while (true) {
    const size_t end = name.find('_');
    const std::string_view word = name.substr(0, end);
    if (std::any_of(list.begin(), list.end(),
                    [word](std::string_view other) { return equal_fold(word, other); })) {
      return true;
    }
    if (end == std::string_view::npos) return false;
    name.remove_prefix(end + 1);
  }
}

}  // namespace

void check_variables(const SourceRange& where, std::span<const std::string> undefined,
                     const dockerfile::Environment& known, Linter& linter) {
  if (undefined.empty() || !linter.enabled(Rule::kUndefinedVar)) return;
  std::vector<std::string> names;
  for (const auto& [key, value] : known.items()) names.push_back(key);
  for (const std::string& name : undefined) {
    const std::string close = closest_match(name, names);
    linter.report(Rule::kUndefinedVar, where,
                  "Usage of undefined variable '$" + name + "'" +
                      (close.empty() ? "" : " (did you mean $" + close + "?)"));
  }
}

void check_command_form(const dockerfile::TypedInstruction& instruction,
                        const dockerfile::CommandLine& command, Shell shell, Linter& linter) {
  if (!command.shell_form || shell == Shell::kChosen) return;
  linter.report(Rule::kJsonArgsRecommended, instruction.where,
                "JSON arguments recommended for " + instruction.original_name +
                    " to prevent unintended behavior related to OS signals");
}

void check_once(const dockerfile::TypedInstruction& instruction, StageMemory& memory,
                Linter& linter) {
  const auto [place, first] = memory.once.emplace(instruction.name, instruction.where);
  if (first) return;
  linter.report(Rule::kMultipleInstructionsDisallowed, place->second,
                "Multiple " + instruction.original_name +
                    " instructions should not be used in the same stage because only the last "
                    "one will be used");
  place->second = instruction.where;
}

void check_workdir(const SourceRange& where, const std::string& path, StageMemory& memory,
                   Linter& linter) {
  if (!memory.has_workdir && !path.starts_with('/')) {
    linter.report(Rule::kWorkdirRelativePath, where,
                  "Relative workdir " + quote(path) +
                      " can have unexpected results if the base image changes");
  }
  memory.has_workdir = true;
}

void check_pair_format(const dockerfile::TypedInstruction& instruction, Linter& linter) {
  const auto* env = std::get_if<dockerfile::Env>(&instruction.kind);
  const auto* label = std::get_if<dockerfile::Label>(&instruction.kind);
  if ((env == nullptr || !env->legacy) && (label == nullptr || !label->legacy)) return;
  const std::string& name = instruction.original_name;
  linter.report(Rule::kLegacyKeyValueFormat, instruction.where,
                "\"" + name + " key=value\" should be used instead of legacy \"" + name +
                    " key value\" format");
}

void check_secret_name(const SourceRange& where, std::string_view keyword, std::string_view name,
                       Linter& linter) {
  static constexpr std::array<std::string_view, 10> kSecret = {
      "apikey",   "auth",  "credential", "credentials", "key",
      "password", "pword", "passwd",     "secret",      "token"};
  static constexpr std::array<std::string_view, 3> kHarmless = {"public", "file", "version"};
  if (!has_word(name, kSecret) || has_word(name, kHarmless)) return;
  linter.report(Rule::kSecretsUsedInArgOrEnv, where,
                "Do not use ARG or ENV instructions for sensitive data (" + std::string(keyword) +
                    " " + quote(name) + ")");
}

void check_port(const SourceRange& where, std::string_view spec, Linter& linter) {
  const size_t colon = spec.rfind(':');
  const std::string_view port = colon == std::string_view::npos ? spec : spec.substr(colon + 1);
  const size_t slash = port.find('/');
  const std::string_view protocol =
      slash == std::string_view::npos ? std::string_view() : port.substr(slash + 1);
  if (protocol != to_lower(protocol)) {
    linter.report(
        Rule::kExposeProtoCasing, where,
        "Defined protocol '" + std::string(spec) + "' in EXPOSE instruction should be lowercase");
  }
  if (colon != std::string_view::npos && colon > 0) {
    linter.report(Rule::kExposeInvalidFormat, where,
                  "EXPOSE instruction should not define an IP address or host-port mapping, "
                  "found '" +
                      std::string(spec) + "'");
  }
}

void IgnoredSources::check(const SourceRange& where, std::string_view keyword,
                           const std::string& source, Linter& linter) {
  if (patterns_.empty() || !linter.enabled(Rule::kCopyIgnoredFile)) return;
  if (!matcher_) {
    // Patterns that do not compile fail the build where they are read.
    matcher_ = PatternMatcher::compile(patterns_).value_or(PatternMatcher());
  }
  const std::string path = join_path("/", source);
  if (matcher_->has_exceptions() || path == "/") return;
  if (!matcher_->matches(std::string_view(path).substr(1))) return;
  linter.report(Rule::kCopyIgnoredFile, where,
                "Attempting to " + std::string(keyword) + " file " + quote(source) +
                    " that is excluded by .dockerignore");
}

}  // namespace kiln::lint
