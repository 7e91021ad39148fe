// Is a file an archive that ADD unpacks? Its content decides, never its name (DOCKERFILE.md A1).
#pragma once

#include <memory>
#include <optional>

#include "oci/tar.h"
#include "solver/ops/copy_selection.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

/// True if the file decompresses (none, gzip, bzip2, xz, zstd) to a tar with at least one entry.
/// Only regular files can be archives. Errors of opening only: unreadable content is no archive.
Result<bool> is_archive(const TreeView& source, const CopyMatch& match);
/// The archive from its beginning.
Result<std::unique_ptr<oci::TarReader>> open_archive(const TreeView& source, const RelPath& path);

}  // namespace kiln
