// Which part of a context the build can need at all (LLB.md C.1, local.followpaths; DOCKERFILE.md
// C22): the named paths, where symlinks in them lead, and what is below. A walk restricted to it
// never looks at the rest of a large directory.
#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fs.h"

namespace kiln::internal {

/// A trie of path components.
struct FollowTree {
  bool whole = false;  // all that is below belongs to it
  std::map<std::string, std::unique_ptr<FollowTree>, std::less<>> children;
};

/// `paths` may hold wildcards; one with "**" selects everything from there on. Absent paths select
/// nothing.
Result<std::unique_ptr<FollowTree>> follow_paths(const Root& root,
                                                 const std::vector<std::string>& paths,
                                                 std::stop_token stop);

}  // namespace kiln::internal
