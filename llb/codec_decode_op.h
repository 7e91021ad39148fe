// One pb.Op to its plain form. Internal to codec.
#pragma once

#include "llb/op.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::llb {

struct DecodedInput {
  Digest digest;
  uint32_t index = 0;
};
struct DecodedOp {
  std::vector<DecodedInput> inputs;
  std::optional<Op> op;  // nullopt: the terminal entry
  std::optional<Platform> platform;
};

/// kInvalidArgument: not a pb.Op, a field or kind that kiln does not know, a value out of range, or
/// an op that validate() refuses. Every message but the first names the op's kind.
Result<DecodedOp> decode_op(std::string_view bytes);

}  // namespace kiln::llb
