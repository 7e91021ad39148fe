// Trees from git repositories (ADD of a repository, git contexts; DOCKERFILE.md A4). Files are 0644
// or 0755, directories 0755, all of them root's, with the time of the commit: the same commit gives
// the same tree wherever and whenever it is fetched.
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

/// Attributes: git.fullurl, keepgitdir, checksum, skipsubmodules, mtime, fetchbycommit,
/// authtokensecret, authheadersecret, mountsshsock, knownsshhosts. kUnimplemented for others.
Result<std::unique_ptr<Operation>> make_git_op(const OpsEnvironment& environment,
                                               const llb::Vertex& vertex);

}  // namespace kiln
