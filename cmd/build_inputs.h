// What a build reads: the Dockerfile, its context and named contexts with their ignore files.
// Nothing is walked or fetched here.
#pragma once

#include "base/fs.h"
#include "cmd/args.h"
#include "frontend/frontend.h"
#include "solver/sources/context.h"

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace kiln::cmd {

/// Where a Dockerfile is that has to be fetched before it can be read.
struct RemoteDockerfile {
  std::string url;   // -f URL; "": in the context, which is a repository or a download
  std::string file;  // -f, a path in that context; "": by the default names
};

struct BuildInputs {
  std::string dockerfile;  // text
  std::string filename;    // as errors show it
  frontend::ContextRef context;
  std::map<std::string, frontend::ContextRef> named;
  std::map<std::string, LocalContext> local;   // by source name
  std::map<std::string, std::string> layouts;  // oci-layout: name -> directory or tar
  std::unique_ptr<TempDir> unpacked;           // of a context that came as a tar, or is empty
  std::optional<RemoteDockerfile> remote;      // until fetch_dockerfile() has filled in the text
};

struct InputPlaces {
  std::string
      scratch;  // an existing directory for what has to be unpacked; "": tar contexts are refused
  std::string stat_caches;  // an existing directory; "": none are kept
  std::stop_token stop = {};
};

/// True: the build has to fetch its Dockerfile, so that its engine needs to solve.
bool needs_fetch(const BuildOptions& options);

/// Nothing is fetched: `remote` says what still is to be. kNotFound: no context, no Dockerfile
/// (with what is there); kInvalidArgument: bad --build-context, bad ignore pattern (at its line), a
/// git URL that contradicts itself.
Result<BuildInputs> read_build_inputs(const BuildOptions& options, const InputPlaces& places);

/// For --llb: the definition's bytes stand in `dockerfile`; the context (if given) and named
/// directories become local sources.
Result<BuildInputs> read_definition_inputs(const BuildOptions& options, const InputPlaces& places);

/// --platform, each once, in the order given; empty: the host's. kInvalidArgument: not a platform.
Result<std::vector<Platform>> requested_platforms(const BuildOptions& options);
/// The result is an index: for several platforms, and where BUILDKIT_MULTI_PLATFORM asks for one.
/// kInvalidArgument: that argument is neither true nor false, or false for several platforms.
Result<bool> builds_index(const BuildOptions& options);

/// The options and inputs as the frontend takes them; of several platforms for the first.
/// `environment` gives --build-arg NAME its value. kInvalidArgument: a value that is not what its
/// flag takes.
Result<frontend::FrontendRequest> make_request(const BuildOptions& options,
                                               const BuildInputs& inputs,
                                               const Environment& environment);

}  // namespace kiln::cmd
