#include "cmd/run_inputs.h"

#include "base/fs.h"
#include "base/strings.h"
#include "cmd/registry_pull.h"
#include "solver/solver.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kSecretLimit = 500U << 10U;  // BuildKit's bound

struct SecretSpec {
  std::string id, source, variable, type;
};

Result<SecretSpec> parse_secret(const std::string& text) {
  static const std::vector<std::string> kKeys = {"id", "src", "source", "env", "type"};
  SecretSpec spec;
  KILN_TRY_ASSIGN(const std::vector<std::string> fields, parse_csv(text));
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    const std::string key = to_lower(field.substr(0, equals));
    if (equals == std::string::npos)
      return fail(Code::kInvalidArgument,
                  "--secret " + quote(text) + ": " + quote(field) + " is not KEY=VALUE");
    const std::string value = field.substr(equals + 1);
    if (key == "id")
      spec.id = value;
    else if (key == "src" || key == "source")
      spec.source = value;
    else if (key == "env")
      spec.variable = value;
    else if (key == "type")
      spec.type = value;
    else
      return fail(Code::kInvalidArgument, "--secret " + quote(text) + ": unknown key " +
                                              quote(key) + did_you_mean(key, kKeys));
  }
  if (spec.id.empty())
    return fail(Code::kInvalidArgument, "--secret " + quote(text) + " needs id=");
  if (!spec.type.empty() && spec.type != "file" && spec.type != "env")
    return fail(Code::kInvalidArgument, "--secret " + quote(text) + ": type is file or env");
  if (spec.type == "env" && spec.variable.empty()) spec.variable = std::exchange(spec.source, {});
  return spec;
}

// Without src and env: the variable of that name if there is one, else the file of that name.
Result<SecretProvider> provider(const SecretSpec& spec, const Environment& environment) {
  std::string variable = spec.variable;
  if (variable.empty() && spec.source.empty() && spec.type != "file" &&
      environment.contains(spec.id))
    variable = spec.id;
  if (!variable.empty()) {
    const auto it = environment.find(variable);
    if (it == environment.end())
      return fail(Code::kNotFound,
                  "--secret " + spec.id + ": the environment has no " + quote(variable));
    return SecretProvider([value = it->second]() -> Result<std::string> { return value; });
  }
  const std::string path = spec.source.empty() ? spec.id : spec.source;
  KILN_TRY_ASSIGN(const bool there, exists(path));
  if (!there) return fail(Code::kNotFound, "--secret " + spec.id + ": no file " + quote(path));
  return SecretProvider([path]() { return read_file(path, kSecretLimit); });
}

}  // namespace

Result<Entitlements> read_entitlements(const std::vector<std::string>& allowed) {
  static const std::vector<std::string> kKnown = {"network.host", "security.insecure", "device"};
  Entitlements entitlements;
  for (const std::string& text : allowed) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (text == "network.host") {
      entitlements.host_network = HostNetwork::kAllowed;
    } else if (text == "security.insecure") {
      entitlements.insecure_steps = InsecureSteps::kAllowed;
    } else if (name == "device") {
      if (const Status added = entitlements.devices.add(value); !added)
        return tl::unexpected(added.error().wrap("--allow " + quote(text)));
    } else {
      return fail(Code::kInvalidArgument,
                  "--allow " + quote(text) + ": unknown entitlement" + did_you_mean(name, kKnown));
    }
  }
  return entitlements;
}

std::vector<std::string> cdi_directories(const BuildOptions& options) {
  if (!options.cdi_spec_dirs.empty()) return options.cdi_spec_dirs;
  return {"/etc/cdi", "/var/run/cdi"};
}

Result<RunInputs> read_run_inputs(const BuildOptions& options, const Environment& environment) {
  RunInputs inputs;
  for (const std::string& text : options.secrets) {
    KILN_TRY_ASSIGN(const SecretSpec spec, parse_secret(text));
    KILN_TRY_ASSIGN(SecretProvider read, provider(spec, environment));
    inputs.secrets[spec.id] = std::move(read);
  }
  for (const std::string& text : options.ssh) {
    const size_t equals = text.find('=');
    const std::string id = text.substr(0, equals);
    std::string socket = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (socket.empty())
      if (const auto it = environment.find("SSH_AUTH_SOCK"); it != environment.end())
        socket = it->second;
    if (socket.empty())
      return tl::unexpected(
          Error(Code::kInvalidArgument, "--ssh " + quote(text) + ": there is no agent")
              .hint("start ssh-agent, or give a socket: --ssh default=/path"));
    inputs.ssh_sockets[id] = std::move(socket);
  }
  return inputs;
}

ImageSources image_sources(Engine& engine, const std::map<std::string, std::string>& layouts,
                           std::shared_ptr<Registries> registries) {
  ImageSources sources;
  sources.content = &engine.content();
  sources.lease = &engine.lease();
  sources.images = &engine.images();
  sources.layouts = layouts;
  sources.pull = make_registry_pull(engine, std::move(registries));
  return sources;
}

namespace {

/// Whoever runs kiln says how it gets out; RUN is told by build arguments.
std::vector<std::string> proxy_variables(const Environment& environment) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) {
    for (const char* known : {"http_proxy", "https_proxy", "no_proxy", "all_proxy"})
      if (name == known || name == to_upper(known))
        variables.push_back(std::string(name).append("=").append(value));
  }
  return variables;
}

}  // namespace

OpsEnvironment operations_of(const OperationInputs& from) {
  OpsEnvironment ops;
  Engine& engine = from.engine;
  ops.snapshotter = &engine.snapshots();
  ops.content = &engine.content();
  ops.lease = &engine.lease();
  ops.executor = &engine.executor();
  ops.downloads = &engine.downloads();
  ops.images = image_sources(engine, from.inputs.layouts, from.registries);
  ops.contexts = from.inputs.local;
  ops.secrets = from.run.secrets;
  ops.ssh_sockets = from.run.ssh_sockets;
  ops.cache_mount_directory = engine.layout().cache_mounts();
  ops.scratch = engine.scratch();
  ops.search_path = from.search_path;
  ops.proxies = proxy_variables(from.environment);
  ops.http_proxy = http_proxy(from.environment);
  return ops;
}

Result<RefPtr> solve_tree(Engine& engine, const OpsEnvironment& operations, const llb::Graph& graph,
                          ProgressSink& progress, std::stop_token stop) {
  Solver solver({make_ops(operations), make_loader(operations), &engine.workers()});
  SolveOptions options;
  options.caches = {&engine.cache()};
  KILN_TRY_ASSIGN(Solution solution, solver.solve(graph, options, progress, std::move(stop)));
  return std::move(solution.targets.front());
}

}  // namespace kiln::cmd
