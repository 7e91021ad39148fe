// A layer tar onto a directory tree (image-spec layer.md, "Applying Changesets"). Works on directory fds: nothing in an
// archive can reach outside, whatever symlinks the tree or the archive holds (SAFETY.md 1).
#pragma once

#include "base/fs.h"
#include "oci/tar.h"

#include <cstdint>
#include <stop_token>

namespace kiln {

enum class ApplyMode : uint8_t {
  kMerged,        // `root` is the whole file system: whiteouts delete, opaque directories are emptied
  kOverlayUpper,  // `root` is an overlayfs upper directory: whiteouts become 0:0 devices and opaque xattrs
  kArchive,       // ADD of an archive: names starting with ".wh." are plain files
};

struct ApplyOptions {
  ApplyMode mode = ApplyMode::kMerged;
  std::optional<uint32_t> uid, gid;  // override every entry's owner (ADD --chown)
};

/// Order of entries does not matter for directories' times and modes: they are applied last. kInvalidArgument for entries
/// SAFETY.md 1.2 refuses; kResourceExhausted: disk full. On error the tree is left half-written: callers discard it.
/// Returns the bytes of file data written.
Result<uint64_t> apply_layer(oci::TarReader& tar, const Root& root, const ApplyOptions& options, std::stop_token stop);

}  // namespace kiln
