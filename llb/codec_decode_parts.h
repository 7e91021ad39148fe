// What the decoders of single messages share. Internal to codec: it shows protobuf's types.
#pragma once

#include "llb/op.h"
#include "ops.pb.h"

#include <string>
#include <vector>

namespace kiln::llb {

/// kInvalidArgument if `message` (called `where`) has a field that kiln does not know: it could
/// change what the op does, so it is never skipped.
Status known(const google::protobuf::MessageLite& message, const char* where);
/// kNoIndex or more.
Result<int> index_of(int64_t value, const char* what);

template <class Enum>
Result<Enum> enum_of(int value, Enum last, const char* what) {
  if (value < 0 || value > static_cast<int>(last)) {
    return fail(Code::kInvalidArgument,
                "unknown " + std::string(what) + " " + std::to_string(value));
  }
  return static_cast<Enum>(value);
}

template <class Repeated>
std::vector<std::string> strings(const Repeated& field) {
  return {field.begin(), field.end()};
}

Result<Op> decode_file(const pb::FileOp& in);

}  // namespace kiln::llb
