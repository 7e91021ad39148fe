// What of a RUN enters its cache key (docs/cache-keys.md; LLB.md C.2 "Exec").
#pragma once

#include <span>
#include <string>
#include <vector>

#include "solver/ops/ops.h"

namespace kiln {

struct ExecInputUse {
  bool by_definition = false;          // its root file system, or something the step writes to
  std::vector<std::string> selectors;  // sub-paths that it sees read-only or as a scratch copy
};
std::vector<ExecInputUse> input_uses(const llb::ExecOp& op, size_t inputs);

/// `devices`: full names of the CDI devices that it gets. What their specs say is not in the key.
KeyFields exec_key(const llb::ExecOp& op, const Platform& platform,
                   std::span<const std::string> devices = {});

}  // namespace kiln
