// pb.Definition on the wire (BuildKit solver/pb/ops.proto): deterministic marshalling out, hostile
// input in. The only user of protobuf besides dump.cc.
#pragma once

#include "llb/graph.h"

#include <span>
#include <string>
#include <string_view>

namespace kiln::llb {

/// The bytes of a vertex's pb.Op; their SHA-256 is its digest. `input_digests` in the order of
/// `inputs`.
struct InputDigest {
  Digest digest;
  uint32_t index = 0;
};
std::string marshal_op(const Op& op, std::span<const InputDigest> inputs,
                       const std::optional<Platform>& platform);

/// A whole pb.Definition for one target: def[] in topological order ending in the terminal op,
/// metadata, source map. Fields are written in number order and maps sorted by key, so equal graphs
/// give equal bytes.
std::string marshal_definition(const Graph& graph);

/// kInvalidArgument (with what is wrong) for: truncated or oversize (64 MiB) messages, fewer than 2
/// entries, an input whose digest is not in the definition, an index out of range, a cycle, an op
/// kind or field kiln does not know, a mount or action index out of range, more than 100,000
/// vertices. Digests are recomputed from the received op bytes.
Result<Graph> unmarshal_definition(std::string_view bytes);

}  // namespace kiln::llb
