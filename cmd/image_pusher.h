// Pushing for the exporters and for `kiln push`.
#pragma once

#include "cmd/engine.h"
#include "cmd/registries.h"
#include "exporter/exporter.h"

#include <memory>

namespace kiln::cmd {

/// The engine is borrowed, `registries` shared. Blobs that a local image says are in another
/// repository of the same registry are mounted from there.
PushImage make_pusher(Engine& engine, std::shared_ptr<Registries> registries);

}  // namespace kiln::cmd
