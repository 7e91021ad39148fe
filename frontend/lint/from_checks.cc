#include "frontend/lint/from_checks.h"

#include <variant>

#include "base/strings.h"
#include "oci/reference.h"

namespace kiln::lint {
namespace {

/// False: the default cannot be expanded, which fails the build elsewhere.
bool define_defaults(const dockerfile::Arg& arg, const dockerfile::ExpandOptions& options,
                     dockerfile::Environment& args) {
  for (const dockerfile::Arg::Item& item : arg.items) {
    if (!item.value) continue;
    const auto value = dockerfile::expand(*item.value, args.lookup(), options);
    if (!value) return false;
    args.set(item.key, value->text);
  }
  return true;
}

/// Like define_defaults() false only for what fails elsewhere.
bool check_default_base(const dockerfile::From& from, const SourceRange& where,
                        const dockerfile::ExpandOptions& options,
                        const dockerfile::Environment& args, Linter& linter) {
  if (from.base.find('$') == std::string::npos) return true;
  const auto base = dockerfile::expand(from.base, args.lookup(), options);
  if (!base) return false;
  if (!oci::Reference::parse(base->text)) {
    linter.report(
        Rule::kInvalidDefaultArgInFrom, where,
        "Default value for ARG " + from.base + " results in empty or invalid base image name");
  }
  return true;
}

}  // namespace

void check_from_args(const SourceRange& where, std::span<const std::string> undefined,
                     std::span<const std::string> known, Linter& linter) {
  for (const std::string& name : undefined) {
    linter.report(Rule::kUndefinedArgInFrom, where,
                  "FROM argument '" + name + "' is not declared" + did_you_mean(name, known));
  }
}

void check_target_platform(const SourceRange& where, const std::string& word,
                           const dockerfile::Expansion& expansion,
                           const dockerfile::Environment& args, Linter& linter) {
  constexpr std::string_view kTarget = "TARGETPLATFORM";
  const bool alone = expansion.undefined.empty() && expansion.used.size() == 1 &&
                     expansion.used.front() == kTarget;
  if (!alone || args.get(kTarget) != std::string_view(expansion.text)) return;
  linter.report(Rule::kRedundantTargetPlatform, where,
                "Setting platform to predefined " + word +
                    " in FROM is redundant as this is the default behavior");
}

void check_default_args(const std::vector<dockerfile::TypedInstruction>& instructions,
                        dockerfile::Environment predefined, char escape, Linter& linter) {
  if (!linter.enabled(Rule::kInvalidDefaultArgInFrom)) return;
  dockerfile::ExpandOptions options;
  options.escape = escape;
  bool in_stage = false;
  for (const dockerfile::TypedInstruction& instruction : instructions) {
    if (const auto* from = std::get_if<dockerfile::From>(&instruction.kind)) {
      in_stage = true;
      if (!check_default_base(*from, instruction.where, options, predefined, linter)) return;
    } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.kind);
               arg != nullptr && !in_stage) {
      if (!define_defaults(*arg, options, predefined)) return;
    }
  }
}

void check_base_platform(const SourceRange& where, const std::string& base, const Platform& got,
                         const Platform& expected, Linter& linter) {
  if (got.os.empty() || got.architecture.empty()) return;
  if (got.os == expected.os && got.architecture == expected.architecture) return;
  linter.report(Rule::kInvalidBaseImagePlatform, where,
                "Base image " + base + " was pulled with platform " + quote(got.to_string()) +
                    ", expected " + quote(expected.to_string()) + " for current build");
}

}  // namespace kiln::lint
