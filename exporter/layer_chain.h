// The layers of a snapshot's whole chain as blobs, in order, each packed once and remembered by the
// snapshotter.
#pragma once

#include "exporter/exporter.h"

#include <chrono>
#include <vector>

namespace kiln {

struct ChainLayer {
  oci::LayerBlob blob;
  std::chrono::sys_time<std::chrono::nanoseconds> created;
};

/// Root first; empty for the empty tree. Blocks; kCancelled on stop.
Result<std::vector<ChainLayer>> layer_chain(const std::optional<SnapshotId>& root,
                                            oci::CompressionOptions compression,
                                            ExportContext& context, std::stop_token stop);

}  // namespace kiln
