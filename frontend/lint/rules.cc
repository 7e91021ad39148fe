#include "frontend/lint/rules.h"

#include <algorithm>
#include <array>

#include "base/result.h"

namespace kiln::lint {
namespace {

#define KILN_RULE_URL(page) "https://docs.docker.com/go/dockerfile/rule/" page "/"

constexpr std::array<RuleInfo, kRuleCount> kRules = {{
    {Rule::kStageNameCasing, "StageNameCasing", "A stage's name is written in lower case",
     "stage-name-casing", Standing::kRule, KILN_RULE_URL("stage-name-casing")},
    {Rule::kFromAsCasing, "FromAsCasing", "FROM and its AS are written in the same case",
     "from-as-casing", Standing::kRule, KILN_RULE_URL("from-as-casing")},
    {Rule::kNoEmptyContinuation, "NoEmptyContinuation",
     "No blank line stands inside an instruction", "no-empty-continuation", Standing::kRule,
     KILN_RULE_URL("no-empty-continuation")},
    {Rule::kConsistentInstructionCasing, "ConsistentInstructionCasing",
     "A file writes its instructions in one case", "consistent-instruction-casing", Standing::kRule,
     KILN_RULE_URL("consistent-instruction-casing")},
    {Rule::kDuplicateStageName, "DuplicateStageName", "No two stages have the same name",
     "duplicate-stage-name", Standing::kRule, KILN_RULE_URL("duplicate-stage-name")},
    {Rule::kReservedStageName, "ReservedStageName",
     "No stage takes a name that the builder needs itself", "reserved-stage-name", Standing::kRule,
     KILN_RULE_URL("reserved-stage-name")},
    {Rule::kJsonArgsRecommended, "JSONArgsRecommended",
     "CMD and ENTRYPOINT are JSON arrays, so that signals reach the program and not a shell",
     "json-args-recommended", Standing::kRule, KILN_RULE_URL("json-args-recommended")},
    {Rule::kMaintainerDeprecated, "MaintainerDeprecated",
     "The author is named by a label, not by MAINTAINER", "maintainer-deprecated", Standing::kRule,
     KILN_RULE_URL("maintainer-deprecated")},
    {Rule::kUndefinedArgInFrom, "UndefinedArgInFrom",
     "FROM uses only arguments that are declared before the first FROM", "undefined-arg-in-from",
     Standing::kRule, KILN_RULE_URL("undefined-arg-in-from")},
    {Rule::kUndefinedVar, "UndefinedVar", "A variable is set before it is used", "undefined-var",
     Standing::kRule, KILN_RULE_URL("undefined-var")},
    {Rule::kWorkdirRelativePath, "WorkdirRelativePath",
     "The first WORKDIR is absolute, so that it does not depend on the base image",
     "workdir-relative-path", Standing::kRule, KILN_RULE_URL("workdir-relative-path")},
    {Rule::kMultipleInstructionsDisallowed, "MultipleInstructionsDisallowed",
     "CMD, ENTRYPOINT and HEALTHCHECK appear once in a stage, because the last one wins",
     "multiple-instructions-disallowed", Standing::kRule,
     KILN_RULE_URL("multiple-instructions-disallowed")},
    {Rule::kLegacyKeyValueFormat, "LegacyKeyValueFormat",
     "ENV and LABEL put \"=\" between key and value", "legacy-key-value-format", Standing::kRule,
     KILN_RULE_URL("legacy-key-value-format")},
    {Rule::kInvalidBaseImagePlatform, "InvalidBaseImagePlatform",
     "The base image is made for the platform that the build is for", "invalid-base-image-platform",
     Standing::kRule, ""},
    {Rule::kRedundantTargetPlatform, "RedundantTargetPlatform",
     "FROM does not ask for the target platform, which it gets anyway", "redundant-target-platform",
     Standing::kRule, KILN_RULE_URL("redundant-target-platform")},
    {Rule::kFromPlatformFlagConstDisallowed, "FromPlatformFlagConstDisallowed",
     "FROM leaves the choice of the platform to whoever builds",
     "from-platform-flag-const-disallowed", Standing::kRule,
     KILN_RULE_URL("from-platform-flag-const-disallowed")},
    {Rule::kSecretsUsedInArgOrEnv, "SecretsUsedInArgOrEnv",
     "ARG and ENV hold no secrets, because everyone who has the image can read them",
     "secrets-used-in-arg-or-env", Standing::kRule, KILN_RULE_URL("secrets-used-in-arg-or-env")},
    {Rule::kInvalidDefaultArgInFrom, "InvalidDefaultArgInFrom",
     "FROM names an image even if nobody passes build arguments", "invalid-default-arg-in-from",
     Standing::kRule, KILN_RULE_URL("invalid-default-arg-in-from")},
    {Rule::kCopyIgnoredFile, "CopyIgnoredFile",
     "COPY and ADD name nothing that the ignore file keeps out of the context", "copy-ignored-file",
     Standing::kRule, KILN_RULE_URL("copy-ignored-file")},
    {Rule::kInvalidDefinitionDescription, "InvalidDefinitionDescription",
     "A comment right above a stage or an argument begins with its name",
     "invalid-definition-description", Standing::kExperimental,
     KILN_RULE_URL("invalid-definition-description")},
    {Rule::kExposeProtoCasing, "ExposeProtoCasing", "EXPOSE writes protocols in lower case",
     "expose-proto-casing", Standing::kRule, KILN_RULE_URL("expose-proto-casing")},
    {Rule::kExposeInvalidFormat, "ExposeInvalidFormat",
     "EXPOSE names ports of the container alone, without addresses or ports of the host",
     "expose-invalid-format", Standing::kRule, KILN_RULE_URL("expose-invalid-format")},
    {Rule::kUnusedBuildArg, "UnusedBuildArg", "A build argument is consumed by some ARG",
     "unused-build-arg", Standing::kAdvice, ""},
    {Rule::kUnknownCheckRule, "UnknownCheckRule", "Check options name rules that exist",
     "unknown-check-rule", Standing::kAdvice, ""},
}};

#undef KILN_RULE_URL

constexpr bool in_order() {
  for (size_t i = 0; i < kRules.size(); ++i) {
    if (static_cast<size_t>(kRules[i].rule) != i) return false;
  }
  return true;
}
static_assert(in_order(), "info() takes a rule's place in the table from its enumerator");

}  // namespace

std::span<const RuleInfo> all_rules() {
  return kRules;
}

const RuleInfo& info(Rule rule) {
  return kRules[static_cast<size_t>(rule)];
}

std::optional<Rule> find_rule(std::string_view name) {
  const auto found = std::find_if(kRules.begin(), kRules.end(),
                                  [name](const RuleInfo& row) { return row.name == name; });
  if (found == kRules.end()) return std::nullopt;
  return found->rule;
}

const std::vector<std::string>& rule_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> out;
    out.reserve(kRules.size());
    for (const RuleInfo& row : kRules) out.emplace_back(row.name);
    return out;
  }();
  return kNames;
}

}  // namespace kiln::lint
