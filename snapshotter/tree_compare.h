// What two trees differ in, for people: which files were added, taken away or changed, and how.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fs.h"

namespace kiln {

struct TreeChange {
  enum class What : uint8_t { kAdded, kRemoved, kContent, kMode, kOwner };
  What what;
  std::string path;         // relative to what was compared; that itself is absolute
  std::string now, before;  // of kMode and kOwner: "0644", "0:0"
};

struct TreeCompareLimits {
  size_t entries = 200'000;  // looked at in either tree; more are left out
  uint64_t read_bytes =
      256ULL << 20U;  // of files of equal sizes; then equal times mean equal bytes
};

/// `at` in either tree, without following symlinks; in the order of their paths. Of a directory
/// that was added or removed, it alone. Times are no change.
Result<std::vector<TreeChange>> compare_trees(const Root& now, const Root& before,
                                              const RelPath& at, const TreeCompareLimits& limits,
                                              const std::stop_token& stop);

/// A line for each kind of change: "changed: src/a.c, src/b.c, src/c.c and 3 more".
std::vector<std::string> describe_changes(const std::vector<TreeChange>& changes);

}  // namespace kiln
