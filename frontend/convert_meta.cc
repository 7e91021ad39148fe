#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/go_format.h"
#include "frontend/ports.h"
#include "frontend/stop_signal.h"

#include <utility>

namespace kiln::frontend {
namespace {

/// One instruction at a time, with what all of them need at hand.
class CommandConverter {
 public:
  CommandConverter(Conversion& c, Stage& stage, const Command& command)
      : c_(c), stage_(stage), command_(command) {}

  Status operator()(const dockerfile::Env& env) {
    lint::check_pair_format(*command_.instruction, c_.linter);
    KILN_TRY_ASSIGN(const auto items, expand_pairs(env.items));  // all see the environment before
    std::string text = "ENV";
    for (const auto& [key, value] : items) {
      lint::check_secret_name(command_.instruction->where, "ENV", key, c_.linter);
      text.append(" ").append(key).append("=").append(value);
      set_variable(key, value);
      stage_.config.set_env(key, value);
    }
    return history(std::move(text));
  }

  Status operator()(const dockerfile::Label& label) {
    lint::check_pair_format(*command_.instruction, c_.linter);
    KILN_TRY_ASSIGN(const auto items, expand_pairs(label.items));
    std::string text = "LABEL";
    for (const auto& [key, value] : items) {
      text.append(" ").append(key).append("=").append(value);
      stage_.config.set_entry("Labels", key, value);
    }
    return history(std::move(text));
  }

  Status operator()(const dockerfile::Arg& arg) {
    std::string text = "ARG";
    for (const dockerfile::Arg::Item& item : arg.items) {
      lint::check_secret_name(command_.instruction->where, "ARG", item.key, c_.linter);
      KILN_TRY_ASSIGN(const std::optional<std::string> value, arg_value(item));
      const bool exported = !item.key.starts_with("BUILDKIT_SBOM_SCAN_");
      if (value && exported) set_variable(item.key, *value);
      stage_.args.push_back({item.key, value});
      text += " " + item.key + (value ? "=" + without_credentials(*value) : "");
    }
    return history(std::move(text));
  }

  Status operator()(const dockerfile::User& user) {
    KILN_TRY_ASSIGN(const std::string name, word(user.user));
    stage_.config.set_text("User", name);
    return history("USER " + name);
  }

  Status operator()(const dockerfile::Cmd& cmd) {
    check_command(cmd.command);
    const std::vector<std::string> argv = command_line(cmd.command);
    stage_.config.set_list("Cmd", argv);
    stage_.config.set("ArgsEscaped", true);
    stage_.cmd_set = true;
    return history("CMD " + go_quoted_list(argv));
  }

  Status operator()(const dockerfile::Entrypoint& entrypoint) {
    check_command(entrypoint.command);
    const std::vector<std::string> argv = command_line(entrypoint.command);
    stage_.config.set_list("Entrypoint", argv);
    if (!stage_.cmd_set) stage_.config.erase("Cmd");  // it belonged to the base's entry point
    return history("ENTRYPOINT " + go_quoted_list(argv));
  }

  Status operator()(const dockerfile::Shell& shell) {
    stage_.config.set_list("Shell", shell.argv);
    return history("SHELL " + go_list(shell.argv));
  }

  Status operator()(const dockerfile::Healthcheck& check) {
    lint::check_once(*command_.instruction, stage_.checks, c_.linter);
    std::vector<std::string> test = {"NONE"};
    if (!check.none) {
      test = check.command.args;
      test.insert(test.begin(), check.command.shell_form ? "CMD-SHELL" : "CMD");
    }
    Json health = Json::object();
    health.set("Test", Json::array_of(test));
    std::string text = "HEALTHCHECK &{" + go_quoted_list(test);
    const std::pair<const char*, std::chrono::nanoseconds> durations[] = {
        {"Interval", check.interval},
        {"Timeout", check.timeout},
        {"StartPeriod", check.start_period},
        {"StartInterval", check.start_interval}};
    for (const auto& [name, duration] : durations) {
      text += " " + quote(go_duration(duration));
      if (duration.count() != 0) health.set(name, static_cast<int64_t>(duration.count()));
    }
    if (check.retries != 0) health.set("Retries", check.retries);
    stage_.config.set("Healthcheck", std::move(health));
    return history(text + " " + go_quoted_rune(check.retries) + "}");
  }

  Status operator()(const dockerfile::Expose& expose) {
    std::vector<std::string> specs;
    dockerfile::ExpandOptions options;
    options.escape = c_.escape;
    options.split = dockerfile::Split::kYes;
    for (const std::string& text : expose.ports) {
      KILN_TRY_ASSIGN(const dockerfile::Expansion expansion,
                      dockerfile::expand(text, stage_.env.lookup(), options));
      warn_undefined(c_, stage_, command_, expansion.undefined);
      specs.insert(specs.end(), expansion.words.begin(), expansion.words.end());
    }
    KILN_TRY_ASSIGN(const std::vector<std::string> ports, parse_ports(specs));
    for (const std::string& spec : specs) {
      lint::check_port(command_.instruction->where, spec, c_.linter);
    }
    for (const std::string& port : ports) {
      stage_.config.set_entry("ExposedPorts", port, Json::object());
    }
    return history("EXPOSE " + go_list(ports));
  }

  Status operator()(const dockerfile::Volume& volume) {
    KILN_TRY_ASSIGN(const std::vector<std::string> paths,
                    expand_words(c_, stage_, command_, volume.paths));
    for (const std::string& path : paths) {
      if (path.empty()) {
        return fail(Code::kInvalidArgument, "VOLUME specified can not be an empty string");
      }
      stage_.config.set_entry("Volumes", path, Json::object());
    }
    return history("VOLUME " + go_list(paths));
  }

  Status operator()(const dockerfile::StopSignal& stop) {
    KILN_TRY_ASSIGN(const std::string signal, word(stop.signal));
    KILN_TRY(check_stop_signal(signal));
    stage_.config.set_text("StopSignal", signal);
    return history("STOPSIGNAL " + signal);
  }

  Status operator()(const dockerfile::Maintainer& maintainer) {
    stage_.config.set_author(maintainer.author);
    return history("MAINTAINER " + maintainer.author);
  }

  Status operator()(const dockerfile::Onbuild& onbuild) {  // leaves no history (checked)
    stage_.config.add_onbuild(onbuild.trigger);
    return {};
  }

  Status operator()(const dockerfile::Run& run) { return convert_run(c_, stage_, command_, run); }
  Status operator()(const dockerfile::Copy& copy) {
    return convert_copy(c_, stage_, command_, copy);
  }
  Status operator()(const dockerfile::Add& add) { return convert_add(c_, stage_, command_, add); }
  Status operator()(const dockerfile::Workdir& workdir) {
    return convert_workdir(c_, stage_, command_, workdir);
  }
  Status operator()(const dockerfile::From&) {
    KILN_CHECK(false);  // FROM starts a stage and is never a command of one
    return {};
  }

 private:
  using Pair = std::pair<std::string, std::string>;

  Result<std::string> word(const std::string& text) {
    return expand_word(c_, stage_, command_, text);
  }

  Result<std::vector<Pair>> expand_pairs(const std::vector<dockerfile::KeyValue>& items) {
    std::vector<Pair> out;
    for (const dockerfile::KeyValue& item : items) {
      KILN_TRY_ASSIGN(std::string key, word(item.key));
      KILN_TRY_ASSIGN(std::string value, word(item.value));
      if (key.empty()) {
        return fail(Code::kInvalidArgument,
                    "a name is empty once variables are expanded: " + item.key);
      }
      out.emplace_back(std::move(key), std::move(value));
    }
    return out;
  }

  /// A variable that is set again moves to the end of what RUN sees, as in BuildKit.
  void set_variable(const std::string& key, const std::string& value) {
    stage_.env.erase(key);
    stage_.env.set(key, value);
  }

  /// --build-arg as it is, else the default, else what is global (DOCKERFILE.md A.3.2).
  Result<std::optional<std::string>> arg_value(const dockerfile::Arg::Item& item) {
    const auto given = c_.build_args.find(item.key);
    if (given != c_.build_args.end()) return std::optional<std::string>(given->second);
    if (!item.value) {
      const auto global = c_.global_args.get(item.key);
      return global ? std::optional<std::string>(*global) : std::nullopt;
    }
    KILN_TRY_ASSIGN(std::string text, word(*item.value));
    return std::optional<std::string>(std::move(text));
  }

  void check_command(const dockerfile::CommandLine& command) {
    const bool chosen = !stage_.config.shell().empty();
    lint::check_once(*command_.instruction, stage_.checks, c_.linter);
    lint::check_command_form(*command_.instruction, command,
                             chosen ? lint::Shell::kChosen : lint::Shell::kDefault, c_.linter);
  }

  std::vector<std::string> command_line(const dockerfile::CommandLine& command) const {
    if (!command.shell_form) return command.args;
    return with_shell(stage_, command.args.empty() ? "" : command.args.front());
  }

  Status history(std::string text) {
    add_history(c_, stage_, std::move(text), Layer::kNo);
    return {};
  }

  Conversion& c_;
  Stage& stage_;
  const Command& command_;
};

}  // namespace

Status convert_command(Conversion& c, Stage& stage, const Command& command) {
  const Status status = std::visit(CommandConverter(c, stage, command), command.instruction->kind);
  if (!status) return tl::unexpected(status.error().at(command.instruction->where));
  return {};
}

}  // namespace kiln::frontend
