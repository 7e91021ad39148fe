#include "frontend/instructions.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "base/strings.h"
#include "frontend/flag_set.h"
#include "frontend/parse_command.h"
#include "frontend/parse_error.h"
#include "frontend/parse_transfer.h"
#include "frontend/parser.h"

namespace kiln::dockerfile {
namespace {

Status require_some(const Instruction& node) {
  KILN_TRY(FlagSet::judge(node.flags, {}));
  if (!node.args.empty()) return {};
  return invalid(to_upper(node.name) + " requires at least one argument");
}

Result<std::string> only_argument(const Instruction& node) {
  KILN_TRY(FlagSet::judge(node.flags, {}));
  if (node.args.size() == 1) return node.args.front();
  return invalid(to_upper(node.name) + " requires exactly one argument");
}

bool is_stage_name(std::string_view name) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
         });
}

Result<InstructionKind> parse_from(const Instruction& node) {
  const std::vector<std::string>& args = node.args;
  From from;
  if (args.size() == 3 && equal_fold(args[1], "as")) {
    from.as_text = args[1];
    from.stage_text = args[2];
    from.stage = to_lower(args[2]);
    if (!is_stage_name(from.stage)) {
      return invalid("invalid name for build stage: " + quote(args[2]) +
                     ", name can't start with a number or contain symbols");
    }
  } else if (args.size() != 1) {
    return invalid("FROM requires either one or three arguments");
  }
  static constexpr std::array kFlags = {FlagSpec{"platform", FlagKind::kString}};
  KILN_TRY_ASSIGN(const FlagSet flags, FlagSet::judge(node.flags, kFlags));
  from.base = args.front();
  from.platform = flags.text("platform");
  return from;
}

Result<InstructionKind> parse_arg(const Instruction& node) {
  KILN_TRY(require_some(node));
  Arg arg;
  for (const std::string& word : node.args) {
    const size_t equals = word.find('=');
    if (equals == 0) return invalid("ARG names can not be blank");
    Arg::Item item{word.substr(0, equals), std::nullopt};
    if (equals != std::string::npos) item.value = word.substr(equals + 1);
    arg.items.push_back(std::move(item));
  }
  return arg;
}

// ENV and LABEL: triples of key, value and separator.
template <class Pairs>
Result<InstructionKind> parse_pairs(const Instruction& node) {
  KILN_TRY(require_some(node));
  Pairs pairs;
  for (size_t i = 0; i + 2 < node.args.size(); i += 3) {
    if (node.args[i].empty()) return invalid(to_upper(node.name) + " names can not be blank");
    pairs.items.push_back({node.args[i], node.args[i + 1]});
    pairs.legacy = pairs.legacy || node.args[i + 2].empty();
  }
  return pairs;
}

template <class Line>
Result<InstructionKind> parse_single(const Instruction& node) {
  KILN_TRY_ASSIGN(std::string argument, only_argument(node));
  return Line{std::move(argument)};
}

Result<InstructionKind> parse_expose(const Instruction& node) {
  KILN_TRY(require_some(node));
  Expose expose{node.args};
  std::sort(expose.ports.begin(), expose.ports.end());
  return expose;
}

Result<InstructionKind> parse_volume(const Instruction& node) {
  KILN_TRY(require_some(node));
  Volume volume;
  for (const std::string& arg : node.args) {
    volume.paths.emplace_back(trim(arg));
    if (volume.paths.back().empty()) return invalid("VOLUME specified can not be an empty string");
  }
  return volume;
}

Result<InstructionKind> parse_onbuild(const Instruction& node) {
  KILN_TRY(require_some(node));
  const std::string& trigger = node.args.front();
  const std::string name = to_upper(trigger.substr(0, trigger.find_first_of(" \t\r\n\v\f")));
  if (name == "ONBUILD") return invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (name == "MAINTAINER" || name == "FROM") {
    return invalid(name + " isn't allowed as an ONBUILD trigger");
  }
  // The text as it stands, so that it means the same where it runs: only "ONBUILD" is taken off.
  Onbuild onbuild;
  std::string_view text =
      std::string_view(node.text).substr(node.text.find_first_not_of(" \t\r\n\v\f"));
  text = text.substr(node.original_name.size());
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n\v\f"), text.size()));
  onbuild.trigger = text;
  for (const Heredoc& heredoc : node.heredocs) {
    onbuild.trigger += "\n" + heredoc.body + heredoc.name;
  }
  return onbuild;
}

template <auto Parse>
Result<InstructionKind> wrapped(const Instruction& node) {
  auto parsed = Parse(node);
  if (!parsed) return tl::unexpected(parsed.error());
  return InstructionKind(std::move(*parsed));
}

using KindParser = Result<InstructionKind> (*)(const Instruction&);

const std::map<std::string, KindParser, std::less<>>& kind_parsers() {
  static const std::map<std::string, KindParser, std::less<>> kParsers = {
      {"add", wrapped<parse_add>},
      {"arg", parse_arg},
      {"cmd", wrapped<parse_cmd>},
      {"copy", wrapped<parse_copy>},
      {"entrypoint", wrapped<parse_entrypoint>},
      {"env", parse_pairs<Env>},
      {"expose", parse_expose},
      {"from", parse_from},
      {"healthcheck", wrapped<parse_healthcheck>},
      {"label", parse_pairs<Label>},
      {"maintainer", parse_single<Maintainer>},
      {"onbuild", parse_onbuild},
      {"run", wrapped<parse_run>},
      {"shell", wrapped<parse_shell>},
      {"stopsignal", parse_single<StopSignal>},
      {"user", parse_single<User>},
      {"volume", parse_volume},
      {"workdir", parse_single<Workdir>},
  };
  return kParsers;
}

// The suggestion is written in the case that the user writes in.
Error unknown_instruction(const std::string& name) {
  std::string match = closest_match(name, instruction_names());
  const bool lower =
      std::any_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (lower) match = to_lower(match);
  Error error(Code::kInvalidArgument, "unknown instruction: " + name +
                                          (match.empty() ? "" : " (did you mean " + match + "?)"));
  if (!match.empty()) return error;
  return error.hint(
      "a line that continues the one above needs the escape character at that one's end");
}

Result<InstructionKind> parse_kind(const Instruction& node) {
  const auto it = kind_parsers().find(node.name);
  if (it == kind_parsers().end()) return tl::unexpected(unknown_instruction(node.original_name));
  return it->second(node);
}

}  // namespace

Result<TypedInstruction> parse_instruction(const Instruction& node, const std::string& file) {
  Result<InstructionKind> kind = parse_kind(node);
  const SourceRange where = node.where(file);
  if (!kind) return tl::unexpected(parse_error(where, kind.error()));
  return TypedInstruction{
      std::move(*kind), where,         std::string(trim(node.text)), node.name, node.original_name,
      node.flags,       node.comments, node.empty_continuation};
}

TypedDockerfile parse_instructions(const Ast& ast) {
  TypedDockerfile typed;
  typed.instructions.reserve(ast.instructions.size());
  for (const Instruction& node : ast.instructions) {
    Result<TypedInstruction> instruction = parse_instruction(node, ast.file);
    if (instruction) {
      typed.instructions.push_back(std::move(*instruction));
    } else {
      typed.errors.push_back(instruction.error());
    }
  }
  return typed;
}

Result<TypedInstruction> parse_trigger(std::string_view trigger, char escape,
                                       const SourceRange& where) {
  const Parsed parsed = parse_fragment(trigger, escape, where);
  if (!parsed.errors.empty()) return tl::unexpected(parsed.errors.front());
  if (parsed.ast.instructions.size() != 1) {
    return tl::unexpected(parse_error(where, "onbuild trigger should be a single expression"));
  }
  const Instruction& node = parsed.ast.instructions.front();
  const std::string name = to_upper(node.name);
  if (name == "ONBUILD" || name == "FROM" || name == "MAINTAINER") {
    return tl::unexpected(parse_error(where, name + " isn't allowed as an ONBUILD trigger"));
  }
  return parse_instruction(node, where.file);
}

const std::vector<std::string>& instruction_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> upper;
    for (const auto& entry : kind_parsers()) upper.push_back(to_upper(entry.first));
    return upper;
  }();
  return kNames;
}

}  // namespace kiln::dockerfile
