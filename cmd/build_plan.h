// What a build solves and exports: a Dockerfile's conversion for each platform, or a definition
// made elsewhere.
#pragma once

#include "base/platform.h"
#include "exporter/exporter.h"
#include "frontend/frontend.h"
#include "llb/graph.h"
#include "solver/solver.h"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::cmd {

struct PlannedPlatform {
  PlatformResult result;    // all but the root
  bool is_scratch = false;  // it has no target in the graph
};

struct BuildPlan {
  llb::Graph graph;  // of all platforms; what they share is there once
  std::vector<PlannedPlatform> platforms;
};

struct Planning {
  frontend::ImageConfigResolver& resolver;
  std::function<Status(frontend::FrontendRequest&)> settle_epoch;  // settle_epoch.h
  std::stop_token stop;
};
/// Converts for each of `platforms` (none: what `request` says) in turn. Errors: those of
/// settle_epoch and frontend::dockerfile_to_llb. `warnings` gets what all of them warn of, each
/// once, whether or not it succeeds.
Result<BuildPlan> plan_dockerfile(const frontend::FrontendRequest& request,
                                  const std::vector<Platform>& platforms, const Planning& how,
                                  std::vector<BuildWarning>& warnings);

/// The plan for a definition's bytes. kInvalidArgument: they are none.
Result<BuildPlan> plan_definition(std::string_view definition, const Platform& platform);

/// The plan's platforms with their roots out of `solution`, which must be of the plan's graph.
/// Blocks: targets become snapshots.
Result<std::vector<PlatformResult>> platform_results(const BuildPlan& plan,
                                                     const Solution& solution,
                                                     const std::stop_token& stop);

}  // namespace kiln::cmd
