// The little that kiln needs to know of UTF-8: where a sequence ends and whether it is well formed
// (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace kiln {

struct Utf8Char {
  char32_t code_point = 0;
  size_t bytes = 0;  // 0: `text` is empty or starts with an invalid sequence
};
/// The first character of `text`. Overlong forms, surrogates and values above U+10FFFF are invalid.
Utf8Char decode_utf8(std::string_view text);

}  // namespace kiln
