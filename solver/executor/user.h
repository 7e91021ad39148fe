// USER of a step, resolved against the tree it runs in (DOCKERFILE.md A.1, "USER"). The files are
// untrusted: they are read through Root, must be regular, and are bounded. What is not clearly a
// user is an error and never uid 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "base/result.h"

namespace kiln {

struct User {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> additional_gids;  // sorted, each once, `gid` among them
  std::string home = "/";                 // of the passwd entry
  bool operator==(const User&) const = default;
};

/// `spec`: "", "user" or "user:group", each a name or a number. Without a group it is the passwd
/// entry's, else 0, and the user's groups of /etc/group are added. Absent files are empty ones.
/// kInvalidArgument: a name that is not there, a number out of range, a file that cannot be read.
Result<User> resolve_user(const Root& rootfs, std::string_view spec);

}  // namespace kiln
