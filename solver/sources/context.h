// A local directory as a source (`local://NAME`), used in place: one walk with one statx a file,
// the ignore rules applied on the way, the entries kept in memory. File bytes are read only where a
// selected file's digest is not in the stat cache, and then again by whoever copies them. What was
// seen in the walk is what the build gets: a file that is different by the time it is copied fails
// the build (SAFETY.md 1.5).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "snapshotter/snapshotter.h"
#include "snapshotter/tree_hash.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

struct LocalContext {
  std::string directory;                      // as the user named it
  std::vector<std::string> exclude_patterns;  // of its ignore file
  std::string ignore_file;                    // its name, for messages; "" if there is none
  std::string stat_cache_file;                // "": digests are not kept
};

struct ContextSelection {
  std::vector<std::string> exclude_patterns;  // the context's and the vertex's
  std::vector<std::string> include_patterns;  // local.includepattern; empty: all
  /// local.followpaths: only these (wildcards allowed, symlinks in them followed) and what is
  /// below them is walked; empty: all.
  std::vector<std::string> follow_paths;
};

/// Copies a view into a snapshot of its own.
using MaterializeView =
    std::function<Result<std::optional<SnapshotId>>(const TreeView& view, std::stop_token stop)>;

struct ContextOptions {
  ContextSelection selection;
  std::shared_ptr<StatCache> digests;  // shared by all refs to one directory; may be null
  MaterializeView materialize;
};

/// Walks the directory (in parallel, on oneTBB) and returns a ref to what was selected. kNotFound:
/// no such directory. kInvalidArgument: a bad pattern. Blocks.
Result<std::shared_ptr<TreeRef>> open_context(const LocalContext& context, ContextOptions options,
                                              std::stop_token stop);

}  // namespace kiln
