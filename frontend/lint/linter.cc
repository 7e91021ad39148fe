#include "frontend/lint/linter.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/strings.h"

namespace kiln::lint {

BuildWarning to_warning(const Finding& finding) {
  const RuleInfo& rule = info(finding.rule);
  return {std::string(rule.name), finding.message, std::string(rule.url),
          finding.where,          std::nullopt,    std::string(rule.description)};
}

Linter::Linter(CheckOptions options, SourceRange source)
    : options_(std::move(options)), source_(std::move(source)) {
  report_unknown(options_.unknown, source_);
}

void Linter::report_unknown(const std::vector<std::string>& names, const SourceRange& where) {
  for (const std::string& name : names) {
    report(Rule::kUnknownCheckRule, where,
           "Check option names an unknown rule '" + name + "'" + did_you_mean(name, rule_names()));
  }
}

void Linter::read_comments(const std::vector<dockerfile::TypedInstruction>& instructions) {
  size_t stage = scopes_.size();  // the open one's place; none
  for (const dockerfile::TypedInstruction& instruction : instructions) {
    const bool is_from = std::holds_alternative<dockerfile::From>(instruction.kind);
    if (is_from && stage < scopes_.size()) scopes_[stage].last = instruction.where.first_line - 1;
    if (is_from) stage = std::numeric_limits<size_t>::max();
    if (!instruction.comments.check) continue;
    const Skips skips = parse_skips(*instruction.comments.check);
    const int line = instruction.comments.check_line;
    report_unknown(skips.unknown, {instruction.where.file, line, line});
    if (is_from) stage = scopes_.size();
    scopes_.push_back({instruction.where.first_line,
                       is_from ? std::numeric_limits<int>::max() : instruction.where.last_line,
                       skips.rules});
  }
}

bool Linter::skipped_at(Rule rule, int line) const {
  return std::any_of(scopes_.begin(), scopes_.end(), [rule, line](const Scope& scope) {
    return scope.first <= line && line <= scope.last && scope.skipped.contains(rule);
  });
}

void Linter::report(Rule rule, const SourceRange& where, std::string message) {
  if (!enabled(rule) || skipped_at(rule, where.first_line)) return;
  const std::string key = std::to_string(static_cast<int>(rule)) + ":" +
                          std::to_string(where.first_line) + ":" + message;
  if (!known_.insert(key).second) return;
  findings_.push_back({rule, std::move(message), where});
}

std::vector<Finding> Linter::findings() const {
  std::vector<Finding> out = findings_;
  const auto place = [](const Finding& finding) {
    const int line = finding.where.first_line;
    return line > 0 ? line : std::numeric_limits<int>::max();
  };
  std::stable_sort(out.begin(), out.end(),
                   [&place](const Finding& a, const Finding& b) { return place(a) < place(b); });
  return out;
}

Status Linter::verdict() const {
  if (options_.violations == Violations::kWarn) return {};
  std::set<std::string_view> names;
  for (const Finding& finding : findings_) {
    const RuleInfo& rule = info(finding.rule);
    if (rule.standing != Standing::kAdvice) names.insert(rule.name);
  }
  if (names.empty()) return {};
  const Error error(Code::kFailedPrecondition,
                    "lint violation found for rules: " +
                        join(std::vector<std::string>(names.begin(), names.end()), ", "));
  return tl::unexpected(source_.first_line > 0 ? error.at(source_) : error);
}

}  // namespace kiln::lint
