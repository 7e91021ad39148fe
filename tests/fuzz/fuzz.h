// What the fuzz targets share. A target is one function over any bytes, linked with libFuzzer; what
// must hold is said with KILN_CHECK, whose abort the fuzzer reports together with the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace kiln::fuzz {

inline std::string_view view(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

/// A place lies in `file` and within the lines that `text` has.
inline void check_place(const SourceRange& where, std::string_view file, std::string_view text) {
  int lines = 1;
  for (const char c : text) lines += c == '\n' ? 1 : 0;
  KILN_CHECK(where.file == file);
  KILN_CHECK(where.first_line >= 1);
  KILN_CHECK(where.first_line <= where.last_line);
  KILN_CHECK(where.last_line <= lines);
}

}  // namespace kiln::fuzz
