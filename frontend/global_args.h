// The variables that FROM sees: the platform arguments, then the ARGs before the first FROM
// (DOCKERFILE.md A.3).
#pragma once

#include "base/platform.h"
#include "frontend/environment.h"

#include <map>
#include <string>
#include <string_view>

namespace kiln::frontend {

/// BUILDPLATFORM, TARGETARCH and so on, and TARGETSTAGE; a build argument of the same name wins.
/// Empty ones are unset.
dockerfile::Environment platform_args(const Platform& build, const Platform& target,
                                      const std::string& target_stage,
                                      const std::map<std::string, std::string>& build_args);

/// True for build arguments that need no ARG: proxies, platforms, and those that steer the builder.
bool is_predefined_arg(std::string_view key);

}  // namespace kiln::frontend
