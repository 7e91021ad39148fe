#include "llb/codec_decode_parts.h"

#include <climits>
#include <cstdint>
#include <string_view>

namespace kiln::llb {
namespace {

/// proto3's lite code keeps unknown fields but has no accessor for them; this is the one that
/// protoc generates for proto2. A protobuf that stores them otherwise does not compile here.
class UnknownFields : public google::protobuf::MessageLite {
 public:
  static const std::string& of(const google::protobuf::MessageLite& message) {
    return (message.*&UnknownFields::_internal_metadata_)
        .unknown_fields<std::string>(google::protobuf::internal::GetEmptyString);
  }
};

/// The field number at the head of the bytes that protobuf put aside.
uint64_t first_field(std::string_view unknown) {
  uint64_t tag = 0;
  for (size_t i = 0; i < unknown.size() && i < 5; ++i) {
    const auto byte = static_cast<unsigned char>(unknown[i]);
    tag |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) break;
  }
  return tag >> 3;
}

}  // namespace

Status known(const google::protobuf::MessageLite& message, const char* where) {
  const std::string& unknown = UnknownFields::of(message);
  if (unknown.empty()) return {};
  return tl::unexpected(Error(Code::kInvalidArgument, std::string(where) + " has field " +
                                                          std::to_string(first_field(unknown)) +
                                                          ", which kiln does not know")
                            .hint("the definition was made by a newer BuildKit client"));
}

Result<int> index_of(int64_t value, const char* what) {
  if (value < kNoIndex || value > INT_MAX) {
    return fail(Code::kInvalidArgument,
                std::string(what) + " " + std::to_string(value) + " is out of range");
  }
  return static_cast<int>(value);
}

}  // namespace kiln::llb
