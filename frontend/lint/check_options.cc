#include "frontend/lint/check_options.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"

namespace kiln::lint {
namespace {

struct Option {
  std::string_view key, value;  // trimmed
};

std::optional<Option> split_option(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  return Option{trim(text.substr(0, equals)), trim(text.substr(equals + 1))};
}

/// "all", or names between commas.
Skips parse_rules(std::string_view value) {
  Skips out;
  if (value == "all") {
    for (const RuleInfo& row : all_rules()) out.rules.add(row.rule);
    return out;
  }
  for (const std::string& word : split(value, ',')) {
    const std::string_view name = trim(word);
    if (name.empty()) continue;
    if (const auto rule = find_rule(name)) {
      out.rules.add(*rule);
    } else {
      out.unknown.emplace_back(name);
    }
  }
  return out;
}

/// The spellings that Go takes for a boolean.
std::optional<bool> parse_bool(std::string_view text) {
  static constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "true", "TRUE", "True"};
  static constexpr std::array<std::string_view, 6> kFalse = {"0",     "f",     "F",
                                                             "false", "FALSE", "False"};
  if (std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end()) return false;
  return std::nullopt;
}

void apply_skip(const Skips& skips, CheckOptions& options) {
  for (const RuleInfo& row : all_rules()) {
    if (row.standing == Standing::kExperimental || !skips.rules.contains(row.rule)) continue;
    options.enabled.remove(row.rule);
  }
}

void apply_experimental(const Skips& wanted, CheckOptions& options) {
  for (const RuleInfo& row : all_rules()) {
    if (row.standing == Standing::kExperimental && wanted.rules.contains(row.rule)) {
      options.enabled.add(row.rule);
    }
  }
}

Error unknown_option(std::string_view text) {
  static const std::vector<std::string> kKeys = {"skip", "error", "experimental"};
  return Error(Code::kInvalidArgument,
               "invalid check option " + quote(text) + did_you_mean(text, kKeys))
      .hint("check options are skip=RULE,…, error=true and experimental=RULE,…, between \";\"");
}

Status apply_option(std::string_view text, CheckOptions& options) {
  const std::optional<Option> option = split_option(text);
  if (!option) return tl::unexpected(unknown_option(text));
  if (option->key == "error") {
    const std::optional<bool> fails = parse_bool(option->value);
    if (!fails) {
      return fail(Code::kInvalidArgument, "failed to parse check option " + quote(text) + ": " +
                                              quote(option->value) + " is neither true nor false");
    }
    options.violations = *fails ? Violations::kFail : Violations::kWarn;
    return {};
  }
  if (option->key != "skip" && option->key != "experimental") {
    return tl::unexpected(unknown_option(option->key));
  }
  Skips rules = parse_rules(option->value);
  option->key == "skip" ? apply_skip(rules, options) : apply_experimental(rules, options);
  options.unknown.insert(options.unknown.end(), rules.unknown.begin(), rules.unknown.end());
  return {};
}

}  // namespace

CheckOptions::CheckOptions() {
  for (const RuleInfo& row : all_rules()) {
    if (row.standing != Standing::kExperimental) enabled.add(row.rule);
  }
}

Result<CheckOptions> parse_check_options(std::string_view text) {
  CheckOptions options;
  text = trim(text);
  if (text.empty()) return options;
  for (const std::string& part : split(text, ';')) KILN_TRY(apply_option(part, options));
  return options;
}

Skips parse_skips(std::string_view text) {
  Skips out;
  for (const std::string& part : split(text, ';')) {
    const std::optional<Option> option = split_option(part);
    if (option && option->key == "skip") out = parse_rules(option->value);
  }
  return out;
}

}  // namespace kiln::lint
