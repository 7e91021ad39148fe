// From what a build found out to the cache in its image's config (cache/inline_cache.h).
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "cache/local_store.h"
#include "cache/remote_store.h"
#include "exporter/exporter.h"
#include "exporter/layer_chain.h"
#include "llb/graph.h"
#include "solver/solver.h"

namespace kiln {

/// The steps of `solution` whose layers may be in the targets; sources are left out, since they are
/// asked anyway. What was cached is known to `records`, or to one of the `remotes`: a cache that
/// was read is handed on whole.
Result<std::vector<InlineStep>> inline_steps(const llb::Graph& graph, const Solution& solution,
                                             LocalCacheStore& records,
                                             std::span<cache::RemoteCacheStore* const> remotes);

/// The steps whose results are made of the first of `layers`, which are those of `root`, as the
/// config has them.
Result<Json> inline_cache(std::span<const InlineStep> steps, const SnapshotId& root,
                          std::span<const ChainLayer> layers, ExportContext& context);

}  // namespace kiln
