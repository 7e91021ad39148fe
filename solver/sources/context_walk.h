// The walk of a local context: directories in parallel on oneTBB, one stat a selected entry.
#pragma once

#include <memory>
#include <stop_token>

#include "base/fs.h"
#include "base/pattern_matcher.h"
#include "solver/sources/context_tree.h"
#include "solver/sources/follow_paths.h"

namespace kiln::internal {

struct WalkRules {
  PatternMatcher excludes;
  PatternMatcher includes;           // empty: everything is included
  const FollowTree* only = nullptr;  // null: everything
};

/// Entries that vanish meanwhile are left out. kPermissionDenied names what cannot be
/// read. kInvalidArgument: a name with a NUL or an unreadable pattern.
Result<std::unique_ptr<ContextDirectory>> walk_context(const Root& root, const WalkRules& rules,
                                                       std::stop_token stop);

}  // namespace kiln::internal
