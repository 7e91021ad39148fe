// Limits of a step as writes to cgroup files. Pure: version 1 and version 2 spell the same limits
// differently (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).
#pragma once

#include <string>
#include <vector>

#include "llb/op.h"
#include "solver/executor/cgroup_hierarchy.h"

namespace kiln {

struct CgroupSetting {
  enum class Need : uint8_t {
    kAsked,   // the user's: an error if it cannot be set
    kDefault  // kiln's own: left out if it cannot
  };
  Controller controller = Controller::kPids;
  std::string file, value;
  Need need = Need::kDefault;
  bool operator==(const CgroupSetting&) const = default;
};

/// In the order in which they must be written. `pids_limit` 0: none.
std::vector<CgroupSetting> cgroup_v1_settings(const llb::Resources& limits, int64_t pids_limit);
std::vector<CgroupSetting> cgroup_v2_settings(const llb::Resources& limits, int64_t pids_limit);

}  // namespace kiln
