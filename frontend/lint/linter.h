// Collects what the checks find in one Dockerfile: knows which rules are on and where, keeps the
// findings in order, and says whether they fail the build.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "frontend/instructions.h"
#include "frontend/lint/check_options.h"

#include <string>
#include <unordered_set>
#include <vector>

namespace kiln::lint {

struct Finding {
  Rule rule = Rule::kStageNameCasing;
  std::string message;
  SourceRange where;  // no position: the file as a whole
};

/// As builds show it.
BuildWarning to_warning(const Finding& finding);

class Linter {
 public:
  Linter() = default;
  /// `source`: where the options stand, for the verdict and for names they get wrong.
  Linter(CheckOptions options, SourceRange source);

  /// Check comments above instructions: one above FROM is for the whole stage.
  void read_comments(const std::vector<dockerfile::TypedInstruction>& instructions);

  /// False: report() would drop it, so that costly checks can be left out.
  bool enabled(Rule rule) const { return options_.enabled.contains(rule); }
  /// Drops what is skipped there or was reported before.
  void report(Rule rule, const SourceRange& where, std::string message);

  /// In order of lines, those without a line last.
  std::vector<Finding> findings() const;
  /// kFailedPrecondition "lint violation found for rules: A, B" if "error=true" and there are any.
  Status verdict() const;

 private:
  struct Scope {
    int first = 0, last = 0;
    RuleSet skipped;
  };
  bool skipped_at(Rule rule, int line) const;
  void report_unknown(const std::vector<std::string>& names, const SourceRange& where);

  CheckOptions options_;
  SourceRange source_;
  std::vector<Scope> scopes_;
  std::vector<Finding> findings_;
  std::unordered_set<std::string> known_;  // rule, line and message of each finding
};

}  // namespace kiln::lint
