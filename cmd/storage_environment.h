// What the environment says of object storage, by the names that Amazon's own tools read.
#pragma once

#include "cache/server/config.h"
#include "cmd/args.h"

namespace kiln::cmd {

/// Fills in what the configuration left out.
void add_from_environment(const Environment& environment, server::StorageFacts& storage);

}  // namespace kiln::cmd
