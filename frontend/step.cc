#include "base/strings.h"
#include "frontend/conversion.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace kiln::frontend {
namespace {

constexpr char kCommandKey[] = "com.docker.dockerfile.v1.command";
constexpr char kHidden[] = "****";

/// Variables of secrets stay out of what is shown, whatever the environment says they are.
std::set<std::string> secret_variables(const dockerfile::TypedInstruction& instruction) {
  std::set<std::string> names;
  const auto* run = std::get_if<dockerfile::Run>(&instruction.kind);
  if (run == nullptr) return names;
  for (const std::string& csv : run->mounts) {
    const Result<std::vector<std::string>> fields = parse_csv(csv);
    if (!fields) continue;
    for (const std::string& field : *fields) {
      if (to_lower(field).starts_with("env=")) names.insert(field.substr(4));
    }
  }
  return names;
}

/// The platform that the stage's ARGs say it builds for, if it is another than the one it runs on.
std::string cross_target(const Stage& stage) {
  const auto text = stage.env.get("TARGETPLATFORM");
  if (!text) return "";
  const Result<Platform> target = Platform::parse(*text);
  if (!target) return "";
  if (target->os != stage.platform.os) return "->" + target->to_string();
  if (target->architecture == stage.platform.architecture) return "";
  return "->" + target->architecture + (target->variant.empty() ? "" : "/" + target->variant);
}

std::string upper_name(const std::string& text) {
  const size_t space = text.find(' ');
  return to_upper(text.substr(0, space)) + (space == std::string::npos ? "" : text.substr(space));
}

}  // namespace

void warn_undefined(Conversion& c, const Stage& stage, const Command& command,
                    const std::vector<std::string>& names) {
  std::vector<std::string> undefined;  // an ARG without a value is declared all the same
  std::copy_if(names.begin(), names.end(), std::back_inserter(undefined), [&](const auto& name) {
    return std::none_of(stage.args.begin(), stage.args.end(),
                        [&name](const BuildArg& arg) { return arg.key == name; });
  });
  lint::check_variables(command.instruction->where, undefined, stage.env, c.linter);
}

Result<std::string> expand_word(Conversion& c, const Stage& stage, const Command& command,
                                std::string_view word, const dockerfile::ExpandOptions& options) {
  dockerfile::ExpandOptions wanted = options;
  if (options.quotes != dockerfile::Quotes::kLiteral) wanted.escape = c.escape;
  KILN_TRY_ASSIGN(dockerfile::Expansion expansion,
                  dockerfile::expand(word, stage.env.lookup(), wanted));
  warn_undefined(c, stage, command, expansion.undefined);
  return std::move(expansion.text);
}

Result<std::vector<std::string>> expand_words(Conversion& c, const Stage& stage,
                                              const Command& command,
                                              const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    KILN_TRY_ASSIGN(std::string text, expand_word(c, stage, command, word));
    out.push_back(std::move(text));
  }
  return out;
}

std::string step_text(const Conversion& c, const Stage& stage, const Command& command) {
  const dockerfile::TypedInstruction& instruction = *command.instruction;
  const bool is_run = std::holds_alternative<dockerfile::Run>(instruction.kind);
  dockerfile::ExpandOptions options;
  options.escape = c.escape;
  if (is_run) {
    options.quotes = dockerfile::Quotes::kKeep;
    options.unset = dockerfile::Unset::kKeep;
  }
  const std::set<std::string> secrets = secret_variables(instruction);
  const dockerfile::EnvLookup lookup = stage.env.lookup();
  const auto masked = [&](std::string_view name) -> std::optional<std::string_view> {
    if (secrets.contains(std::string(name))) return kHidden;
    return lookup(name);
  };
  const Result<dockerfile::Expansion> expansion =
      dockerfile::expand(instruction.text, masked, options);
  return upper_name(without_credentials(expansion ? expansion->text : instruction.text));
}

std::string step_name(const Conversion& c, const Stage& stage, const Command& command,
                      const std::string& text) {
  if (stage.steps == 0) return text;
  std::string out = "[";
  if (c.request.multi_platform) out += stage.platform.to_string() + cross_target(stage) + " ";
  if (!stage.label.empty()) out += stage.label + " ";
  const std::string total = std::to_string(stage.steps);
  const std::string number = std::to_string(stage.step);
  if (number.size() < total.size()) out.append(total.size() - number.size(), ' ');
  out += number + "/" + total + "] ";
  if (command.on_build) out += "ONBUILD ";
  return out + text;
}

llb::Meta step_meta(const Stage& stage, const Command& command, std::string name) {
  llb::Meta meta;
  meta.name = std::move(name);
  meta.description[kCommandKey] = without_credentials(command.instruction->text);
  meta.where = {command.instruction->where};
  meta.stage = stage.name;
  return meta;
}

llb::Meta internal_meta(const std::string& text) {
  llb::Meta meta;
  meta.name = "[internal] " + text;
  return meta;
}

void add_history(Conversion& c, Stage& stage, std::string created_by, Layer layer) {
  stage.config.add_history(std::move(created_by), layer, c.epoch);
}

int64_t file_timestamp(const Conversion& c) {
  constexpr int64_t kNanoseconds = 1'000'000'000;
  return c.epoch ? *c.epoch * kNanoseconds : -1;
}

std::vector<std::string> with_shell(const Stage& stage, const std::string& text) {
  std::vector<std::string> argv = stage.config.shell();
  if (argv.empty()) argv = {"/bin/sh", "-c"};
  argv.push_back(text);
  return argv;
}

}  // namespace kiln::frontend
