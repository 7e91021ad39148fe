// A planned tree packed as a layer, straight from the sources: nothing is unpacked first. For
// copies that only the exporter wants. Small files are read ahead in parallel and written in order,
// so the bytes do not depend on timing; memory is bounded by a few batches.
#pragma once

#include <span>
#include <stop_token>

#include "base/io.h"
#include "solver/ops/planned_tree.h"

namespace kiln {

/// Writes a tar by the layer rules (DOCKERFILE.md, "Layer diff / tar rules"), byte for byte what
/// applying the plan and packing the difference would give. KILN_CHECKs that the plan hides nothing
/// of its base (PlannedTree::hides_base). kFailedPrecondition: a source file changed.
/// kInvalidArgument: a name that a layer cannot hold.
Status plan_pack(const PlannedTree& plan, std::span<const TreeView* const> sources, Sink& tar,
                 const std::stop_token& stop);

}  // namespace kiln
