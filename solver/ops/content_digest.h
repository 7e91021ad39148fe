// What a copy or a bind mount puts into a cache key: the digest of the selected entries, with their
// metadata but without mtimes (DOCKERFILE.md C20).
#pragma once

#include <span>
#include <stop_token>

#include "llb/op.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

/// Over what all of `copies` select from `source`, each in turn. Files are hashed in parallel on
/// oneTBB. Errors are select_matches()'s; kFailedPrecondition: a file changed meanwhile.
Result<Digest> selection_digest(const TreeView& source,
                                std::span<const llb::CopyAction* const> copies,
                                const std::stop_token& stop);

/// Of a file or directory with all that is below, for mounts; symlinks in `path` are followed.
Result<Digest> path_digest(const TreeView& source, const std::string& path,
                           const std::stop_token& stop);

}  // namespace kiln
