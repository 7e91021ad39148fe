#include "exporter/layer_chain.h"

namespace kiln {

Result<std::vector<ChainLayer>> layer_chain(const std::optional<SnapshotId>& root,
                                            oci::CompressionOptions compression,
                                            ExportContext& context, std::stop_token stop) {
  std::vector<ChainLayer> layers;
  if (!root) return layers;
  KILN_TRY_ASSIGN(const std::vector<SnapshotId> chain, context.snapshots.chain(*root));
  layers.reserve(chain.size());
  // One layer after the other: packing one already keeps every core busy, and two would double the
  // memory for buffers.
  for (const SnapshotId& id : chain) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
    KILN_TRY_ASSIGN(oci::LayerBlob blob,
                    context.snapshots.layer_blob(id, compression, context.lease, stop));
    KILN_TRY_ASSIGN(const SnapshotFacts facts, context.snapshots.facts(id));
    layers.push_back({std::move(blob), facts.created});
  }
  return layers;
}

}  // namespace kiln
