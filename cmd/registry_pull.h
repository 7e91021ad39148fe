// Pulling for FROM: the registry client with docker's credentials, made when the first image is
// pulled.
#pragma once

#include "cmd/args.h"
#include "cmd/engine.h"
#include "solver/sources/image.h"

namespace kiln::cmd {

/// Reads $DOCKER_CONFIG/config.json (or ~/.docker/config.json) on the first call; no file is
/// anonymous. The engine is borrowed. What is pulled for its config alone gets no name here: the
/// name would promise an image.
PullImage make_registry_pull(Engine& engine, const Environment& environment, ImageExtent extent);

}  // namespace kiln::cmd
