// Snapshotter implementations. Both keep `snapshots/<id>/` directories and one table in kiln.db
// (index.h).
#pragma once

#include "base/database.h"
#include "snapshotter/snapshotter.h"

#include <memory>
#include <string>

namespace kiln {

struct SnapshotterConfig {
  Database* database = nullptr;
  oci::Leases* leases = nullptr;
  oci::ContentStore* content = nullptr;
  std::string directory;  // $KILN_ROOT/snapshots; made if absent
  std::string scratch;    // $KILN_ROOT/run: mount points, unpacking
};

/// overlayfs. kFailedPrecondition if the file system cannot be an overlay upper (tested by mounting
/// one).
Result<std::unique_ptr<Snapshotter>> make_overlay_snapshotter(const SnapshotterConfig& config);
/// Full copies (FICLONE, copy_file_range): works on any file system and without mounts.
Result<std::unique_ptr<Snapshotter>> make_copying_snapshotter(const SnapshotterConfig& config);
/// `kind`: "auto", "overlay" or "copy". A root keeps the kind it was made with.
Result<std::unique_ptr<Snapshotter>> make_snapshotter(const SnapshotterConfig& config,
                                                      std::string_view kind);

}  // namespace kiln
