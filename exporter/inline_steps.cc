#include "exporter/inline_steps.h"

#include <algorithm>
#include <map>

#include "cache/inline_cache.h"
#include "exporter/cache_export.h"

namespace kiln {
namespace {

using Remotes = std::span<cache::RemoteCacheStore* const>;

std::optional<InlineStep> remote_step(const SolvedEdge& edge, Remotes remotes) {
  for (cache::RemoteCacheStore* const remote : remotes)
    if (auto entry = remote->entry(*edge.key))
      return InlineStep{std::move(entry->record), edge.alias, std::move(entry->result)};
  return std::nullopt;
}

// Of what ran the record is known, of what was cached it is where that was found.
Result<std::optional<InlineStep>> step_of(const SolvedEdge& edge, LocalCacheStore& records,
                                          Remotes remotes) {
  std::optional<KeyRecord> record = edge.record;
  if (!record || record->key() != *edge.key) {
    KILN_TRY_ASSIGN(record, records.record(*edge.key));
  }
  std::optional<CacheResult> result;
  if (edge.ref) {
    KILN_TRY_ASSIGN(result, edge.ref->cache_result());
  } else {
    KILN_TRY_ASSIGN(result, records.find(*edge.key));
  }
  if (!record || !result) return remote_step(edge, remotes);
  if (edge.created) result->created = *edge.created;
  return InlineStep{*std::move(record), edge.alias, *std::move(result)};
}

// How many of `layers` a result that was never unpacked here is; 0: it is none of theirs.
size_t common_layers(const CacheResult& result, std::span<const ChainLayer> layers) {
  if (result.layers.size() > layers.size()) return 0;
  const bool first = std::equal(
      result.layers.begin(), result.layers.end(), layers.begin(),
      [](const oci::LayerBlob& a, const ChainLayer& b) { return a.diff_id == b.blob.diff_id; });
  return first ? result.layers.size() : 0;
}

}  // namespace

Result<std::vector<InlineStep>> inline_steps(const llb::Graph& graph, const Solution& solution,
                                             LocalCacheStore& records, Remotes remotes) {
  const std::set<llb::Output> chain = image_chain(graph);
  std::vector<const SolvedEdge*> edges;
  for (const SolvedEdge& edge : solution.edges) {
    if (!edge.key || !chain.contains(edge.edge)) continue;
    if (std::holds_alternative<llb::SourceOp>(graph.vertex(edge.edge.vertex).op)) continue;
    edges.push_back(&edge);
    for (cache::RemoteCacheStore* const remote : remotes) remote->announce(*edge.key);
  }
  std::vector<InlineStep> steps;
  for (const SolvedEdge* const edge : edges) {
    KILN_TRY_ASSIGN(std::optional<InlineStep> step, step_of(*edge, records, remotes));
    if (step && !step->result.empty_tree) steps.push_back(*std::move(step));
  }
  return steps;
}

Result<Json> inline_cache(std::span<const InlineStep> steps, const SnapshotId& root,
                          std::span<const ChainLayer> layers, ExportContext& context) {
  KILN_TRY_ASSIGN(const std::vector<SnapshotId> chain, context.snapshots.chain(root));
  std::map<std::string, size_t> heights;  // layers up to and with a snapshot
  for (const SnapshotId& link : chain) heights.emplace(link.value, heights.size() + 1);
  cache::InlineCache cache;
  for (const ChainLayer& layer : layers)
    cache.layer_times.push_back(std::chrono::floor<std::chrono::seconds>(layer.created));
  for (const InlineStep& step : steps) {
    const auto here = heights.find(step.result.local_ref);
    const size_t count = here != heights.end() ? here->second : common_layers(step.result, layers);
    if (count == 0) continue;
    if (step.alias) cache.aliases.push_back({*step.alias, step.record.key()});
    cache.records.push_back({step.record, count, step.result.created});
  }
  return cache::to_json(std::move(cache));
}

}  // namespace kiln
