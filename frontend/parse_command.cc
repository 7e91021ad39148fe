#include "frontend/parse_command.h"

#include <array>

#include "base/strings.h"
#include "frontend/flag_set.h"
#include "frontend/go_value.h"
#include "frontend/heredoc.h"
#include "frontend/parse_error.h"

namespace kiln::dockerfile {
namespace {

CommandLine command_line(const Instruction& node) {
  return {!node.json, node.args, node.heredocs};
}

Result<llb::NetMode> network_mode(const std::string& value) {
  if (value.empty() || value == "default") return llb::NetMode::kSandbox;
  if (value == "none") return llb::NetMode::kNone;
  if (value == "host") return llb::NetMode::kHost;
  const std::vector<std::string> known = {"default", "none", "host"};
  return invalid("invalid network mode " + quote(value) + did_you_mean(value, known));
}

Result<llb::SecurityMode> security_mode(const std::string& value) {
  if (value.empty() || value == "sandbox") return llb::SecurityMode::kSandbox;
  if (value == "insecure") return llb::SecurityMode::kInsecure;
  const std::vector<std::string> known = {"sandbox", "insecure"};
  return invalid("security " + quote(value) + " is not valid" + did_you_mean(value, known));
}

std::string unexpected_field(const std::string& field, const std::string& key, bool has_value) {
  if (!has_value) return "invalid field '" + field + "' must be a key=value pair";
  static const std::vector<std::string> kKeys = {"name", "required"};
  return "unexpected key '" + key + "' in '" + field + "'" + did_you_mean(key, kKeys);
}

// "vendor/class=name,required": a CDI name, or "name=...", and options.
Result<Device> parse_device(const std::string& csv) {
  const auto fields = parse_csv(csv);
  if (!fields) return tl::unexpected(fields.error().wrap("failed to parse csv devices"));
  Device device;
  for (const std::string& field : *fields) {
    const size_t equals = field.find('=');
    const std::string key = to_lower(std::string_view(field).substr(0, equals));
    const bool has_value = equals != std::string::npos;
    const std::string value = has_value ? field.substr(equals + 1) : "";
    if (key == "required") {
      const Result<bool> required = has_value ? parse_bool(value) : true;
      if (!required) return invalid("invalid value for required: " + value);
      device.required = *required;
    } else if (key == "name" && has_value) {
      if (!device.name.empty()) return invalid("device name already set to " + device.name);
      device.name = value;
    } else if (device.name.empty()) {
      device.name = field;
    } else {
      return invalid(unexpected_field(field, key, has_value));
    }
  }
  if (device.name.empty())
    return invalid("invalid device " + quote(csv) + ": a device name is required");
  return device;
}

Result<std::chrono::nanoseconds> interval(const FlagSet& flags, std::string_view name) {
  const std::string value = flags.text(name);
  if (value.empty()) return std::chrono::nanoseconds(0);
  KILN_TRY_ASSIGN(const std::chrono::nanoseconds duration, parse_duration(value));
  if (duration.count() != 0 && duration < std::chrono::milliseconds(1)) {
    return invalid("Interval " + quote(name) + " cannot be less than 1ms");
  }
  return duration;
}

Result<int> retries(const FlagSet& flags) {
  const std::string value = flags.text("retries");
  if (value.empty()) return 0;
  const Result<int64_t> count = parse_int(value);
  if (!count || *count > INT32_MAX || *count < INT32_MIN) {
    return invalid("invalid value for --retries: " + value);
  }
  if (*count < 0) return invalid("--retries cannot be negative (" + value + ")");
  return static_cast<int>(*count);
}

}  // namespace

RunScript run_script(const CommandLine& command) {
  RunScript script;
  if (!command.shell_form) {
    script.kind = RunScript::Kind::kExec;
    script.argv = command.args;
    return script;
  }
  const std::string line = command.args.empty() ? std::string() : command.args.front();
  script.text = line;
  if (command.heredocs.empty()) return script;
  const Heredoc& first = command.heredocs.front();
  if (parse_heredoc_word(line)) {
    script.text = first.content();
    if (script.text.substr(0, 2) == "#!") {
      script.kind = RunScript::Kind::kFile;
      script.file_name = first.name;
    }
    return script;
  }
  for (const Heredoc& heredoc : command.heredocs) {
    script.text += "\n" + heredoc.body + heredoc.name;
  }
  return script;
}

Result<Run> parse_run(const Instruction& node) {
  static constexpr std::array kFlags = {
      FlagSpec{"mount", FlagKind::kList}, FlagSpec{"network", FlagKind::kString},
      FlagSpec{"security", FlagKind::kString}, FlagSpec{"device", FlagKind::kList}};
  KILN_TRY_ASSIGN(const FlagSet flags, FlagSet::judge(node.flags, kFlags));
  Run run;
  run.command = command_line(node);
  run.mounts = flags.list("mount");
  for (const std::string& mount : run.mounts) KILN_TRY(check_mount(mount));
  KILN_TRY_ASSIGN(run.network, network_mode(flags.text("network")));
  KILN_TRY_ASSIGN(run.security, security_mode(flags.text("security")));
  for (const std::string& csv : flags.list("device")) {
    KILN_TRY_ASSIGN(Device device, parse_device(csv));
    run.devices.push_back(std::move(device));
  }
  return run;
}

Result<Cmd> parse_cmd(const Instruction& node) {
  KILN_TRY(FlagSet::judge(node.flags, {}));
  return Cmd{command_line(node)};
}

Result<Entrypoint> parse_entrypoint(const Instruction& node) {
  KILN_TRY(FlagSet::judge(node.flags, {}));
  return Entrypoint{command_line(node)};
}

Result<Shell> parse_shell(const Instruction& node) {
  KILN_TRY(FlagSet::judge(node.flags, {}));
  if (node.args.empty()) return invalid("SHELL requires at least one argument");
  if (!node.json) {
    return tl::unexpected(
        Error(Code::kInvalidArgument, "SHELL requires the arguments to be in JSON form")
            .hint("for example: SHELL [\"/bin/bash\", \"-c\"]"));
  }
  return Shell{node.args};
}

Result<Healthcheck> parse_healthcheck(const Instruction& node) {
  if (node.args.empty()) return invalid("HEALTHCHECK requires at least one argument");
  const std::string type = to_upper(node.args.front());
  Healthcheck check;
  if (type == "NONE") {
    if (node.args.size() > 1) return invalid("HEALTHCHECK NONE takes no arguments");
    check.none = true;
    return check;
  }
  static constexpr std::array kFlags = {
      FlagSpec{"interval", FlagKind::kString}, FlagSpec{"timeout", FlagKind::kString},
      FlagSpec{"start-period", FlagKind::kString}, FlagSpec{"start-interval", FlagKind::kString},
      FlagSpec{"retries", FlagKind::kString}};
  KILN_TRY_ASSIGN(const FlagSet flags, FlagSet::judge(node.flags, kFlags));
  if (type != "CMD") {
    return invalid("unknown type " + quote(type) + " in HEALTHCHECK (try CMD)");
  }
  check.command = {!node.json, {node.args.begin() + 1, node.args.end()}, {}};
  if (check.command.args.empty()) return invalid("missing command after HEALTHCHECK CMD");
  KILN_TRY_ASSIGN(check.interval, interval(flags, "interval"));
  KILN_TRY_ASSIGN(check.timeout, interval(flags, "timeout"));
  KILN_TRY_ASSIGN(check.start_period, interval(flags, "start-period"));
  KILN_TRY_ASSIGN(check.start_interval, interval(flags, "start-interval"));
  KILN_TRY_ASSIGN(check.retries, retries(flags));
  return check;
}

}  // namespace kiln::dockerfile
