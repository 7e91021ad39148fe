// Git URLs as ADD and --build-context take them (DOCKERFILE.md A4):
// "https://host/repo.git#ref:dir", "git@host:repo", "ssh://…", "git://…", or with a query. No
// network.
#pragma once

#include "base/result.h"
#include "llb/op.h"

#include <optional>
#include <string>
#include <string_view>

namespace kiln::frontend {

struct GitRef {
  std::string remote;  // what git is given: no fragment, no query
  std::string host, path;
  bool ssh = false;
  std::string ref;  // branch, tag, "refs/…" or commit; "": the default branch
  std::string subdir;
  std::string checksum;  // a commit, perhaps shortened
  std::string mtime;     // "", "checkout" or "commit"
  std::optional<bool> keep_git_dir, submodules, fetch_by_commit;
};

/// nullopt: not a git URL (a path, or http without ".git"). kInvalidArgument: one with a query that
/// contradicts itself or is unknown.
Result<std::optional<GitRef>> parse_git_ref(std::string_view text);

/// The source op for it, as BuildKit's clients spell it. Host keys are left to whoever fetches.
llb::SourceOp git_source(const GitRef& ref);

}  // namespace kiln::frontend
