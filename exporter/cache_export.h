// What a build found out, into a cache that other machines read: one entry for each step, under its
// key, with the layers that its result is made of.
#pragma once

#include <chrono>
#include <stop_token>

#include "cache/local_store.h"
#include "cache/transport.h"
#include "exporter/exporter.h"
#include "llb/graph.h"
#include "oci/compression.h"
#include "solver/solver.h"

namespace kiln {

enum class CacheMode : uint8_t {
  kMin,  // the steps whose layers are in the targets
  kMax,  // every step
};

struct CacheExportOptions {
  CacheMode mode = CacheMode::kMin;
  oci::CompressionOptions compression;
  std::chrono::milliseconds patience{5000};  // how long a transfer may stand still
};

/// Uploads and publishes what `transport` does not have yet; sources are left out, since they are
/// asked anyway. `records` knows the records of what was cached. Blocks; kCancelled on stop.
/// kUnavailable: the cache; entries published before it stay.
Status export_cache(const llb::Graph& graph, const Solution& solution,
                    cache::CacheTransport& transport, const CacheExportOptions& options,
                    LocalCacheStore& records, ExportContext& context, std::stop_token stop);

}  // namespace kiln
