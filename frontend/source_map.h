// A text by its lines: what diagnostics show of a Dockerfile around an error.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

class SourceMap {
 public:
  SourceMap(std::string file, std::string text);

  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }
  int line_count() const { return static_cast<int>(starts_.size()); }
  /// Line `number` (1-based) without its end; "" outside the text.
  std::string_view line(int number) const;

  /// The lines of `range` with up to `context` lines around, each ending in a newline:
  ///     "   6 | COPY . ."
  ///     " > 7 | RUN make -j"
  /// Control bytes are escaped, long lines end in "...", and of a range of more than 12 lines the
  /// middle is left out.
  /// "" if the range has no position or lies outside.
  std::string excerpt(const SourceRange& range, int context = 1) const;

 private:
  void append_line(std::string& out, int number, int width, std::string_view mark) const;

  std::string file_;
  std::string text_;
  std::vector<size_t> starts_;  // of each line; a final newline starts no line
};

}  // namespace kiln::dockerfile
