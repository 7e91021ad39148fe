// A SOURCE_DATE_EPOCH that names where its time comes from: the build context, a named context, or
// a stage that is nothing but one remote ADD (DOCKERFILE.md A.3.10). Nothing is fetched here:
// whoever builds asks the source for its time, and hands the seconds in as the build argument.
#pragma once

#include "base/digest.h"
#include "frontend/frontend.h"

#include <optional>
#include <stop_token>
#include <string>

namespace kiln::frontend {

struct Conversion;

struct EpochSource {
  bool is_main_context = false;
  /// One vertex, a repository or a download. None: what is named is a local directory or an image,
  /// whose time is no property of its content.
  std::optional<llb::Graph> graph;
  std::string file;                // the name of a download's one file; "": a repository
  std::optional<Digest> checksum;  // that file must have it
};

/// nullopt: there is no SOURCE_DATE_EPOCH, or it is a number. `resolver` is not asked anything.
/// kInvalidArgument: it names nothing, or a stage that is not FROM scratch and one remote ADD; and
/// the Dockerfile's own errors.
Result<std::optional<EpochSource>> epoch_source(const FrontendRequest& request,
                                                ImageConfigResolver& resolver,
                                                std::stop_token stop);

/// The source that `name` means in a file whose stages are collected. Errors as above.
Result<EpochSource> find_epoch_source(const Conversion& c, const std::string& name);

}  // namespace kiln::frontend
