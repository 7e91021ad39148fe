// What a build reads: the Dockerfile, its context and named contexts with their ignore files.
// Nothing is walked here.
#pragma once

#include "base/fs.h"
#include "cmd/args.h"
#include "frontend/frontend.h"
#include "solver/sources/context.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace kiln::cmd {

struct BuildInputs {
  std::string dockerfile;  // text
  std::string filename;    // as errors show it
  frontend::ContextRef context;
  std::map<std::string, frontend::ContextRef> named;
  std::map<std::string, LocalContext> local;   // by source name
  std::map<std::string, std::string> layouts;  // oci-layout: name -> directory or tar
  std::unique_ptr<TempDir> unpacked;           // of a context that came as a tar
};

struct InputPlaces {
  std::string
      scratch;  // an existing directory for what has to be unpacked; "": tar contexts are refused
  std::string stat_caches;  // an existing directory; "": none are kept
};

/// kNotFound: no context, no Dockerfile (with what is there); kInvalidArgument: bad
/// --build-context, bad ignore pattern (at its line); kUnimplemented: git and http contexts.
Result<BuildInputs> read_build_inputs(const BuildOptions& options, const InputPlaces& places);

/// For --llb: the definition's bytes stand in `dockerfile`; the context (if given) and named
/// directories become local sources.
Result<BuildInputs> read_definition_inputs(const BuildOptions& options, const InputPlaces& places);

/// The options and inputs as the frontend takes them. `environment` gives --build-arg NAME its
/// value. kInvalidArgument: a value that is not what its flag takes.
Result<frontend::FrontendRequest> make_request(const BuildOptions& options,
                                               const BuildInputs& inputs,
                                               const Environment& environment);

}  // namespace kiln::cmd
