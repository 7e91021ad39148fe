// Which entries a copy takes from its source, in one place for both who copies them and who puts
// them into a cache key: wildcards, symlinks in the source path, include and exclude patterns
// (DOCKERFILE.md C1, C5, C6, C8, C17, C18).
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "llb/op.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

/// One source of a copy: what the argument or a wildcard named.
struct CopyMatch {
  std::string name;  // base name as named: what the copy is called inside a directory
  RelPath path;      // where it really is, symlinks resolved
  struct stat st;
  bool by_wildcard = false;
};

/// In walking order. kNotFound `"/x": not found` with a hint (the rule that hides it, close names),
/// also for required_paths. Empty: a wildcard without matches, where that is allowed.
Result<std::vector<CopyMatch>> select_matches(const TreeView& source, const llb::CopyAction& copy);

struct SelectedEntry {
  RelPath source;
  size_t below_at;  // where in `source` the path below the match begins
  struct stat st;
  /// The path below the match; "" is the match itself.
  std::string_view below() const { return std::string_view(source.str()).substr(below_at); }
};
/// Called with parents before children, sorted by name at each level.
using EntryVisitor = std::function<Status(const SelectedEntry& entry)>;

/// Visits what `match` contributes. With include patterns a directory is visited when it is
/// included itself or something below it is.
Status visit_selection(const TreeView& source, const llb::CopyAction& copy, const CopyMatch& match,
                       const std::stop_token& stop, const EntryVisitor& visit);

}  // namespace kiln
