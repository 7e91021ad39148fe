// `kiln build --check` and `--call`: what can be said about a Dockerfile without building it.
#include <cstdio>

#include "base/json.h"
#include "base/strings.h"
#include "cmd/build_inputs.h"
#include "cmd/commands.h"
#include "cmd/config_resolver.h"
#include "cmd/diagnostics.h"
#include "cmd/fetch_dockerfile.h"
#include "cmd/render.h"
#include "cmd/run_inputs.h"
#include "frontend/lint/report.h"
#include "frontend/outline.h"

namespace kiln::cmd {
namespace {

enum class Method : uint8_t { kCheck, kOutline, kTargets, kDescribe };
enum class Format : uint8_t { kText, kJson };
enum class ExitStatus : uint8_t { kOfResult, kZero };

struct MethodInfo {
  Method method;
  const char* name;     // on the command line
  const char* request;  // as BuildKit's frontends call it
  const char* description;
};
constexpr MethodInfo kMethods[] = {
    {Method::kOutline, "outline", "frontend.outline", "What a target can be given"},
    {Method::kTargets, "targets", "frontend.targets", "The targets of the Dockerfile"},
    {Method::kCheck, "lint", "frontend.lint", "What the rules find in the Dockerfile"},
    {Method::kDescribe, "subrequests.describe", "frontend.subrequests.describe",
     "What can be asked"},
};

struct Call {
  Method method = Method::kCheck;
  Format format = Format::kText;
  ExitStatus status = ExitStatus::kOfResult;
};

Result<Method> parse_method(const std::string& name) {
  std::vector<std::string> known = {"check"};
  for (const MethodInfo& row : kMethods) {
    if (name == row.name) return row.method;
    known.emplace_back(row.name);
  }
  if (name == "check") return Method::kCheck;
  return tl::unexpected(Error(Code::kInvalidArgument, "--call " + quote(name) + ": unknown method" +
                                                          did_you_mean(name, known))
                            .hint("methods are check, outline, targets and subrequests.describe"));
}

Status parse_option(const std::string& text, Call& call) {
  if (text == "format=json") {
    call.format = Format::kJson;
  } else if (text == "format=text") {
    call.format = Format::kText;
  } else if (text == "ignorestatus" || text == "ignorestatus=true") {
    call.status = ExitStatus::kZero;
  } else if (text != "ignorestatus=false") {
    return tl::unexpected(
        Error(Code::kInvalidArgument, "--call: unknown option " + quote(text))
            .hint("options are format=json and ignorestatus, after the method and a comma"));
  }
  return {};
}

/// "METHOD[,format=json][,ignorestatus]"; a method may be left out where --check names it.
Result<Call> parse_call(const BuildOptions& options) {
  Call call;
  std::string method;
  KILN_TRY_ASSIGN(const std::vector<std::string> fields, parse_csv(options.call));
  for (const std::string& field : fields) {
    const bool names_method = method.empty() && field.find('=') == std::string::npos;
    if (names_method) {
      method = field;
    } else {
      KILN_TRY(parse_option(field, call));
    }
  }
  if (!method.empty()) {
    KILN_TRY_ASSIGN(call.method, parse_method(method));
  }
  if (options.check && call.method != Method::kCheck)
    return fail(Code::kInvalidArgument, "--check and --call=" + method + " ask for two things");
  if (!options.check && method.empty())
    return fail(Code::kInvalidArgument, "--call " + quote(options.call) + " names no method");
  return call;
}

std::string describe_methods(Format format) {
  std::string text = "NAME                 VERSION DESCRIPTION\n";
  Json list = Json::array();
  for (const MethodInfo& row : kMethods) {
    std::string name = row.name;
    name.resize(20, ' ');
    text += name + " 1.0.0   " + row.description + "\n";
    Json item = Json::object();
    item.set("name", row.request);
    item.set("version", "1.0.0");
    item.set("type", "rpc");
    item.set("description", row.description);
    list.push_back(std::move(item));
  }
  return format == Format::kJson ? list.dump_pretty() + "\n" : text;
}

/// What a question is answered from.
struct Sources {
  const BuildOptions& options;
  const Invocation& invocation;
  const BuildInputs& inputs;
  const frontend::FrontendRequest& request;
  frontend::ImageConfigResolver& resolver;
};

Status write_answer(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    return fail_errno("write", "standard output");
  return {};
}

tl::unexpected<Failure> failure_in(const Sources& from, const Error& error) {
  return tl::unexpected(
      Failure{error, exit_code_of(error), from.inputs.dockerfile, from.inputs.filename, false});
}

CommandResult answer_check(const Sources& from, const Call& call) {
  const lint::CheckResult result =
      lint::check_dockerfile(from.request, from.resolver, from.invocation.stop);
  const auto show = call.format == Format::kJson ? lint::check_json : lint::check_text;
  KILN_CMD_TRY(write_answer(show(result, from.inputs.filename, from.inputs.dockerfile)));
  std::vector<BuildWarning> advice;
  for (const lint::Finding& finding : result.advice) advice.push_back(lint::to_warning(finding));
  (void)std::fputs(describe_warnings(advice, {}).c_str(),
                   stderr);  // nothing to do if stderr is gone
  if (result.passed() || call.status == ExitStatus::kZero) return {};
  if (result.error) return failure_in(from, *result.error);
  return tl::unexpected(
      Failure{Error(Code::kFailedPrecondition, "there are warnings"), 1, {}, {}, true});
}

CommandResult answer_outline(const Sources& from, const Call& call) {
  const Result<frontend::Outline> outline =
      frontend::outline_dockerfile(from.request, from.resolver, from.invocation.stop);
  if (!outline) return failure_in(from, outline.error());
  KILN_CMD_TRY(write_answer(call.format == Format::kJson
                                ? frontend::outline_json(*outline, from.inputs.dockerfile)
                                : frontend::outline_text(*outline)));
  return {};
}

CommandResult answer_targets(const Sources& from, const Call& call) {
  const Result<std::vector<frontend::Target>> targets = frontend::list_targets(from.request);
  if (!targets) return failure_in(from, targets.error());
  KILN_CMD_TRY(write_answer(call.format == Format::kJson
                                ? frontend::targets_json(*targets, from.inputs.dockerfile)
                                : frontend::targets_text(*targets)));
  return {};
}

CommandResult answer(const Sources& from, const Call& call) {
  switch (call.method) {
    case Method::kCheck:
      return answer_check(from, call);
    case Method::kOutline:
      return answer_outline(from, call);
    case Method::kTargets:
      return answer_targets(from, call);
    case Method::kDescribe:  // was answered without a Dockerfile
      break;
  }
  return {};
}

/// The configs of base images that are not here are fetched, which takes time and is shown.
std::unique_ptr<Renderer> pull_display(const BuildOptions& options) {
  RenderOptions render;
  render.mode = options.quiet ? "quiet" : options.progress;
  if (render.mode == "auto" || render.mode == "tty") render.mode = "plain";  // an answer follows
  return make_renderer(render, stderr);
}

}  // namespace

CommandResult run_call(const BuildOptions& options, const Invocation& invocation) {
  const Result<Call> call = parse_call(options);
  if (!call) return usage_failure(call.error());
  if (call->method == Method::kDescribe) {
    KILN_CMD_TRY(write_answer(describe_methods(call->format)));
    return {};
  }
  if (!options.llb.empty())
    return usage_failure(
        Error(Code::kInvalidArgument, "--check and --call need a Dockerfile, not --llb"));
  KILN_CMD_TRY_ASSIGN(
      const std::unique_ptr<Engine> engine,
      open_engine(options.global, needs_fetch(options) ? Need::kBuild : Need::kStores, invocation));
  KILN_CMD_TRY_ASSIGN(BuildInputs inputs, read_build_inputs(options, {engine->layout().run(), ""}));
  Result<frontend::FrontendRequest> request = make_request(options, inputs, invocation.environment);
  if (!request) return usage_failure(request.error());
  const ImageSources images =
      image_sources(*engine, inputs.layouts, std::make_shared<Registries>(invocation.environment));
  const std::unique_ptr<Renderer> display = pull_display(options);
  KILN_CMD_TRY(
      fetch_dockerfile(FetchAlone{*engine, options, invocation, *display}, inputs, *request));
  ConfigResolver resolver(images, *display);
  CommandResult result = answer({options, invocation, inputs, *request, resolver}, *call);
  display->finish(result.has_value());
  return result;
}

}  // namespace kiln::cmd
