#include "frontend/lint/file_checks.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/platform.h"
#include "base/strings.h"

namespace kiln::lint {
namespace {

using dockerfile::From;
using dockerfile::TypedInstruction;

bool is_lower(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}
bool is_upper(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

void check_stage_name_casing(const From& from, const SourceRange& where, Linter& linter) {
  if (is_lower(from.stage_text)) return;
  linter.report(Rule::kStageNameCasing, where,
                "Stage name '" + from.stage_text + "' should be lowercase");
}

/// A FROM in mixed case is another rule's matter.
void check_from_as_casing(const TypedInstruction& instruction, const From& from, Linter& linter) {
  const std::string& name = instruction.original_name;
  if (from.as_text.empty() || (!is_lower(name) && !is_upper(name))) return;
  if (is_lower(name) ? is_lower(from.as_text) : is_upper(from.as_text)) return;
  linter.report(Rule::kFromAsCasing, instruction.where,
                "'" + from.as_text + "' and '" + name + "' keywords' casing do not match");
}

void check_reserved_stage_name(const From& from, const SourceRange& where, Linter& linter) {
  if (from.stage != "scratch" && from.stage != "context") return;
  linter.report(Rule::kReservedStageName, where,
                "Stage name should not use the same name as reserved stage " + quote(from.stage));
}

void check_duplicate_stage_name(const From& from, const SourceRange& where,
                                std::unordered_set<std::string>& seen, Linter& linter) {
  if (from.stage.empty() || seen.insert(from.stage).second) return;
  linter.report(Rule::kDuplicateStageName, where,
                "Duplicate stage name " + quote(from.stage) + ", stage names should be unique");
}

/// A stage that is named after its platform says that it means it.
void check_constant_platform(const From& from, const SourceRange& where, Linter& linter) {
  if (from.platform.empty() || from.platform.find('$') != std::string::npos) return;
  const Result<Platform> platform = Platform::parse(from.platform);
  if (!platform) return;  // fails the build
  if (from.stage.find(platform->os) != std::string::npos ||
      from.stage.find(platform->architecture) != std::string::npos) {
    return;
  }
  linter.report(Rule::kFromPlatformFlagConstDisallowed, where,
                "FROM --platform flag should not use constant value " + quote(from.platform));
}

void check_maintainer(const SourceRange& where, Linter& linter) {
  linter.report(Rule::kMaintainerDeprecated, where,
                "Maintainer instruction is deprecated in favor of using label");
}

/// The last line of the comment above is the one that describes.
void check_description(const TypedInstruction& instruction, std::string_view keyword,
                       const std::vector<std::string>& names, Linter& linter) {
  const std::vector<std::string>& lines = instruction.comments.lines;
  if (lines.empty() || names.empty()) return;
  const std::string first = lines.back().substr(0, lines.back().find(' '));
  if (std::find(names.begin(), names.end(), first) != names.end()) return;
  linter.report(Rule::kInvalidDefinitionDescription, instruction.where,
                "Comment for " + std::string(keyword) + " should follow the format: `# " +
                    (names.size() > 1 ? "<arg_key>" : names.front()) + " <description>`");
}

void check_arg_description(const TypedInstruction& instruction, const dockerfile::Arg& arg,
                           Linter& linter) {
  std::vector<std::string> names;
  for (const dockerfile::Arg::Item& item : arg.items) names.push_back(item.key);
  check_description(instruction, "ARG", names, linter);
}

/// The place is the line on which the instruction's own text ends; bodies of heredocs follow it.
void check_empty_continuation(const dockerfile::Ast& ast, Linter& linter) {
  for (const dockerfile::Instruction& node : ast.instructions) {
    if (!node.empty_continuation) continue;
    int line = node.end;
    for (const dockerfile::Heredoc& heredoc : node.heredocs) {
      line -= static_cast<int>(std::count(heredoc.body.begin(), heredoc.body.end(), '\n')) + 1;
    }
    line = std::max(line, node.start);
    linter.report(Rule::kNoEmptyContinuation, {ast.file, line, line}, "Empty continuation line");
  }
}

/// Counts while the file is walked, and judges when all of it is known. What is in mixed case has
/// no vote; a tie is upper case.
class InstructionCasing {
 public:
  void see(const TypedInstruction& instruction) {
    seen_.push_back(&instruction);
    const std::string& name = instruction.original_name;
    if (is_lower(name)) ++lower_;
    if (is_upper(name)) ++upper_;
  }

  void check(Linter& linter) const {
    const bool lower = lower_ > upper_;
    for (const TypedInstruction* instruction : seen_) {
      const std::string& name = instruction->original_name;
      if (lower ? is_lower(name) : is_upper(name)) continue;
      linter.report(Rule::kConsistentInstructionCasing, instruction->where,
                    "Command '" + name + "' should match the case of the command majority (" +
                        (lower ? "lowercase" : "uppercase") + ")");
    }
  }

 private:
  std::vector<const TypedInstruction*> seen_;
  size_t lower_ = 0, upper_ = 0;
};

}  // namespace

void check_file(const dockerfile::Ast& ast, const std::vector<TypedInstruction>& instructions,
                Linter& linter) {
  std::unordered_set<std::string> stages;
  InstructionCasing casing;
  bool in_stage = false;
  for (const TypedInstruction& instruction : instructions) {
    const SourceRange& where = instruction.where;
    if (const auto* from = std::get_if<From>(&instruction.kind)) {
      in_stage = true;
      check_stage_name_casing(*from, where, linter);
      check_from_as_casing(instruction, *from, linter);
      check_reserved_stage_name(*from, where, linter);
      check_duplicate_stage_name(*from, where, stages, linter);
      check_constant_platform(*from, where, linter);
      if (!from->stage.empty()) check_description(instruction, "FROM", {from->stage}, linter);
    } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.kind)) {
      check_arg_description(instruction, *arg, linter);
    } else if (std::holds_alternative<dockerfile::Maintainer>(instruction.kind)) {
      check_maintainer(where, linter);
    }
    if (in_stage) casing.see(instruction);  // ARGs before the first FROM are nobody's
  }
  casing.check(linter);
  check_empty_continuation(ast, linter);
}

}  // namespace kiln::lint
