// rewrite-timestamp=true: the layers that a build added, with no file younger than the build's
// epoch (CLI.md B.2). Layers of the base image stay what they are, so that they are still shared
// with it.
#pragma once

#include "exporter/layer_chain.h"

#include <cstdint>
#include <stop_token>
#include <vector>

namespace kiln {

struct RewriteOptions {
  size_t base_layers = 0;  // the first ones, left alone
  int64_t epoch = 0;       // seconds
  oci::CompressionOptions compression;
};

/// Replaces blob and diff ID of every layer that holds a younger time. Blocks; kCancelled on stop.
Status rewrite_times(std::vector<ChainLayer>& layers, const RewriteOptions& options,
                     ExportContext& context, std::stop_token stop);

}  // namespace kiln
