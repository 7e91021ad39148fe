// A SOURCE_DATE_EPOCH that names a source becomes a number before the Dockerfile is converted: the
// source is solved like the rest of the build, so that it is fetched once and cached, and tells its
// time. A commit's is its committer's, a download's is its Last-Modified, or else that of the
// newest file in it if it is an archive.
#pragma once

#include "cmd/build_inputs.h"
#include "cmd/fetch_dockerfile.h"

#include <stop_token>

namespace kiln::cmd {

struct SettleEpoch {
  SolveTree solve;
  frontend::ImageConfigResolver& resolver;
  const BuildInputs& inputs;
  std::stop_token stop;
};
/// Adds the build argument SOURCE_DATE_EPOCH to `request`: the seconds, or "" where the source has
/// no time (a directory of this machine, an image). Nothing to do for a number. Errors: those of
/// frontend::epoch_source and of solving; kFailedPrecondition: the download is not what --checksum
/// pins; kInvalidArgument: its time is none that an image can tell. Blocks.
Status settle_epoch(const SettleEpoch& how, frontend::FrontendRequest& request);

/// For commands that only read Dockerfiles. kFailedPrecondition: there is a source to ask, and the
/// engine is not of kind kBuild.
Status settle_epoch(const FetchAlone& how, const BuildInputs& inputs,
                    frontend::ImageConfigResolver& resolver, frontend::FrontendRequest& request);

}  // namespace kiln::cmd
