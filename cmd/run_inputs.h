// What RUN may be lent: secrets and ssh agents, and where images come from.
#pragma once

#include "cmd/args.h"
#include "cmd/build_inputs.h"
#include "cmd/engine.h"
#include "cmd/registries.h"
#include "solver/ops/ops.h"

#include <map>
#include <string>

namespace kiln::cmd {

struct RunInputs {
  std::map<std::string, SecretProvider> secrets;
  std::map<std::string, std::string> ssh_sockets;
};

/// --secret id=ID[,src=PATH|env=NAME][,type=file|env] and --ssh default|ID[=SOCKET].
/// kInvalidArgument. Nothing is read yet.
Result<RunInputs> read_run_inputs(const BuildOptions& options, const Environment& environment);

/// --allow.
struct Entitlements {
  HostNetwork host_network = HostNetwork::kDenied;
  InsecureSteps insecure_steps = InsecureSteps::kDenied;
  DeviceGrants devices;
};
/// kInvalidArgument, with what was perhaps meant.
Result<Entitlements> read_entitlements(const std::vector<std::string>& allowed);

/// --cdi-spec-dir, else where CDI looks.
std::vector<std::string> cdi_directories(const BuildOptions& options);

/// The engine's stores, and the registries.
ImageSources image_sources(Engine& engine, const std::map<std::string, std::string>& layouts,
                           std::shared_ptr<Registries> registries);

/// What operations work with, as far as it follows from these: sources, secrets and places. Engines
/// of kind kBuild only; all is borrowed.
struct OperationInputs {
  Engine& engine;
  const BuildInputs& inputs;
  const RunInputs& run;
  const Environment& environment;
  const std::string& search_path;
  std::shared_ptr<Registries> registries;
};
OpsEnvironment operations_of(const OperationInputs& from);

/// Solves one target, with the engine's cache.
Result<RefPtr> solve_tree(Engine& engine, const OpsEnvironment& operations, const llb::Graph& graph,
                          ProgressSink& progress, std::stop_token stop);

}  // namespace kiln::cmd
