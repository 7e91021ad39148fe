// What of a Dockerfile is not context-free: from bytes to logical lines (DOCKERFILE.md A.0).
// Handles the byte order mark, line ends, the line length limit, parser directives, comments,
// continuations and the bodies of heredocs. Which heredocs a line opens is the caller's to say,
// because that depends on the instruction: it asks for their bodies before next().
#pragma once

#include "frontend/ast.h"
#include "frontend/directives.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

struct LogicalLine {
  std::string
      text;  // joined; without the first line's indentation, with that of continuation lines
  int start = 0, end = 0;
  Comments comments;
  bool empty_continuation = false;
};

class LineReader {
 public:
  /// `text` must outlive the reader. With directives: a file. Without: a fragment such as an
  /// ONBUILD trigger, with the escape character given.
  explicit LineReader(std::string_view text);
  LineReader(std::string_view text, char escape);

  /// The next logical line; nullopt at the end, or after a line that is too long.
  std::optional<LogicalLine> next();
  /// Reads lines up to the terminator into `heredoc.body`, which is kept verbatim. False: the text
  /// ended before it.
  bool read_body(Heredoc& heredoc);

  char escape() const { return escape_; }
  int line_number() const { return line_number_; }  // of the last line read

  struct Problem {
    int line = 0;
    std::string message;
  };
  /// Wrong directives and lines above the limit, in order.
  const std::vector<Problem>& problems() const { return problems_; }

 private:
  std::optional<std::string_view> read_line();  // with its end
  void read_directive(std::string_view line);
  void collect_comment(std::string_view line);
  bool strip_continuation(std::string_view& line) const;
  void append_continuations(LogicalLine& line);

  std::string_view rest_;
  char escape_ = '\\';
  int line_number_ = 0;
  bool overlong_ = false;
  DirectiveReader directives_;
  bool with_directives_ = true;
  bool in_directives_ = false;  // the last comment line was one
  Comments comments_;
  std::vector<Problem> problems_;
};

}  // namespace kiln::dockerfile
