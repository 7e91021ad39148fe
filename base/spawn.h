// The part of process.h between "arguments are known" and "the program runs".
#pragma once

#include <string>

#include "base/fd.h"
#include "base/process.h"
#include "base/result.h"

namespace kiln::internal {

struct Spawned {
  pid_t pid = -1;
  Fd pidfd;
};
/// Runs `program` (a path) as `spec` says. Errors of every step up to and including exec are
/// returned.
Result<Spawned> spawn_process(const ProcessSpec& spec, const std::string& program);

}  // namespace kiln::internal
