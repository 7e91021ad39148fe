// A Dockerfile that is not a file of this machine: in a repository, in an archive, or a download
// itself. What has to be fetched is solved like the rest of the build, so that it is cached and
// shown the same way.
#pragma once

#include "cmd/build_inputs.h"
#include "cmd/commands.h"
#include "solver/ops/tree_ref.h"

#include <functional>
#include <stop_token>
#include <string>

namespace kiln::cmd {

/// Solves a graph with one target; the result is the caller's.
using SolveTree = std::function<Result<RefPtr>(const llb::Graph&)>;

/// Reads `file` ("": Dockerfile, else dockerfile) from the root of `tree` into `inputs`. Links are
/// resolved inside the tree; only a regular file is read, of 64 MiB at most. kNotFound with what is
/// there.
Status read_dockerfile_in(const TreeView& tree, const std::string& file, BuildInputs& inputs);

struct FetchDockerfile {
  SolveTree solve;
  std::string scratch;  // an existing directory: for an empty context
  std::stop_token stop;
};
/// Does what `inputs.remote` asks, and tells `request`. A download that is no archive is the
/// Dockerfile, and leaves the context empty. Nothing to do without `inputs.remote`. Blocks.
Status fetch_dockerfile(const FetchDockerfile& how, BuildInputs& inputs,
                        frontend::FrontendRequest& request);

/// For commands that only read Dockerfiles: with an engine of kind kBuild if needs_fetch().
struct FetchAlone {
  Engine& engine;
  const BuildOptions& options;
  const Invocation& invocation;
  ProgressSink& progress;
};
Status fetch_dockerfile(const FetchAlone& how, BuildInputs& inputs,
                        frontend::FrontendRequest& request);

}  // namespace kiln::cmd
