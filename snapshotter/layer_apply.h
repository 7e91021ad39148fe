// A layer tar onto a directory tree (image-spec layer.md, "Applying Changesets"). Works on
// directory fds: nothing in an archive can reach outside, whatever symlinks the tree or the archive
// holds (SAFETY.md 1).
#pragma once

#include "base/fs.h"
#include "oci/tar.h"

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

namespace kiln {

enum class ApplyMode : uint8_t {
  kMerged,  // `root` is the whole file system: whiteouts delete, opaque directories are emptied
  kOverlayUpper,  // `root` is an overlayfs upper directory: whiteouts become 0:0 devices and opaque
                  // xattrs
  kArchive,       // ADD of an archive: names starting with ".wh." are plain files
};

struct ApplyOptions {
  ApplyMode mode = ApplyMode::kMerged;
  std::string overlay_xattrs = "trusted.overlay.";  // kOverlayUpper: prefix of its xattrs
  std::optional<uint32_t> uid, gid;                 // override every entry's owner (ADD --chown)
};

/// Order of entries does not matter for directories' times and modes: they are applied last.
/// kInvalidArgument for entries SAFETY.md 1.2 refuses; kResourceExhausted: disk full. On error the
/// tree is left half-written: callers discard it. kOverlayUpper only, kFailedPrecondition: the
/// archive leans on what lies below (an entry without its parent directory, a hardlink to a file of
/// another layer): apply it to the mounted tree with kMerged instead. Of xattrs only user.* and
/// security.capability are set: other security.* are policy of the machine that packed them.
/// Returns the bytes of file data written.
Result<uint64_t> apply_layer(oci::TarReader& tar, const Root& root, const ApplyOptions& options,
                             std::stop_token stop);

}  // namespace kiln
