// Pulling for FROM.
#pragma once

#include "cmd/engine.h"
#include "cmd/registries.h"
#include "solver/sources/image.h"

namespace kiln::cmd {

/// Both are borrowed, `registries` shared. What is pulled for its config alone gets no name here:
/// the name would promise an image. It gets it when its layers come.
PullImage make_registry_pull(Engine& engine, std::shared_ptr<Registries> registries);

}  // namespace kiln::cmd
