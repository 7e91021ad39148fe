// The rules that Dockerfiles are checked against, as data. Names, messages and addresses are those
// of BuildKit's linter, because people skip rules by name and search for messages (DOCKERFILE.md
// A.10). What a rule looks for is its check function: file_checks.h, from_checks.h, stage_checks.h.
// Each has a page in docs/rules and a folder in testdata/lint.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::lint {

enum class Rule : uint8_t {
  kStageNameCasing,
  kFromAsCasing,
  kNoEmptyContinuation,
  kConsistentInstructionCasing,
  kDuplicateStageName,
  kReservedStageName,
  kJsonArgsRecommended,
  kMaintainerDeprecated,
  kUndefinedArgInFrom,
  kUndefinedVar,
  kWorkdirRelativePath,
  kMultipleInstructionsDisallowed,
  kLegacyKeyValueFormat,
  kInvalidBaseImagePlatform,
  kRedundantTargetPlatform,
  kFromPlatformFlagConstDisallowed,
  kSecretsUsedInArgOrEnv,
  kInvalidDefaultArgInFrom,
  kCopyIgnoredFile,
  kInvalidDefinitionDescription,
  kExposeProtoCasing,
  kExposeInvalidFormat,
  kUnusedBuildArg,
  kUnknownCheckRule,
};
constexpr size_t kRuleCount = static_cast<size_t>(Rule::kUnknownCheckRule) + 1;

enum class Standing : uint8_t {
  kRule,          // a finding is a violation
  kExperimental,  // the same, once "experimental=" names the rule
  kAdvice,        // kiln's own: a warning of builds, but no violation. What passes in BuildKit has
                  // to pass here, "error=true" or not
};

struct RuleInfo {
  Rule rule;
  std::string_view name;
  std::string_view description;  // one sentence, without a full stop
  std::string_view page;         // docs/rules/<page>.md
  Standing standing = Standing::kRule;
  std::string_view url;  // where Docker explains it; "" if it does not
};

/// In the enumerators' order.
std::span<const RuleInfo> all_rules();
const RuleInfo& info(Rule rule);
/// By its exact name.
std::optional<Rule> find_rule(std::string_view name);
/// For "did you mean".
const std::vector<std::string>& rule_names();

class RuleSet {
 public:
  void add(Rule rule) { bits_.set(static_cast<size_t>(rule)); }
  void remove(Rule rule) { bits_.reset(static_cast<size_t>(rule)); }
  bool contains(Rule rule) const { return bits_.test(static_cast<size_t>(rule)); }
  bool empty() const { return bits_.none(); }

 private:
  std::bitset<kRuleCount> bits_;
};

}  // namespace kiln::lint
