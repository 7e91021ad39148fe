// The Dockerfile as its parser sees it: one `Instruction` per logical line, words split but nothing
// expanded, flags named but not judged. What a flag or an argument means is instructions.h; where
// the text came from is line_reader.h. The shape follows BuildKit's parser nodes (`args` is its
// Node.Next chain), because `kiln debug ast` prints it (docs/ast.md) and because what is one word
// and what is not is part of the language.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

/// A here-document of RUN, COPY, ADD or ONBUILD of those (DOCKERFILE.md A.2).
struct Heredoc {
  std::string name;    // the word after "<<", quotes removed
  std::string body;    // the lines before the terminator, verbatim: line ends kept, tabs kept
                       // whatever `chomp` says
  bool expand = true;  // false: the word was quoted somewhere
  bool chomp = false;  // "<<-": leading tabs of every line are to be dropped, see content()
  int fd = 0;          // "3<<EOF"
  /// The body as the builder or a shell is to see it: `body`, without each line's leading tabs if
  /// `chomp`.
  std::string content() const;
  bool operator==(const Heredoc&) const = default;
};

/// "--name", "--name=value": quotes and escapes are resolved, nothing is expanded.
struct Flag {
  std::string name;                  // without "--"
  std::optional<std::string> value;  // nullopt: no "="
  std::string raw;                   // "--name=value"
  bool operator==(const Flag&) const = default;
};

/// What directly precedes an instruction, without a blank line between.
struct Comments {
  std::vector<std::string>
      lines;  // doc comment: text after "#", trimmed, top to bottom; check comments left out
  std::optional<std::string> check;  // value of "# check=…" in these lines (the last one)
  int check_line = 0;
};

struct Instruction {
  std::string name;           // lower-case: "run"; unknown names are kept
  std::string original_name;  // as written
  std::vector<Flag> flags;
  /// RUN CMD ENTRYPOINT SHELL, MAINTAINER STOPSIGNAL USER WORKDIR: one element, the rest of the
  /// line (none if empty). FROM EXPOSE COPY ADD VOLUME: words between blanks, quotes kept. ARG:
  /// words, quotes and escapes kept. ENV LABEL: key, value, separator for each pair; the separator
  /// is "=", or "" for the legacy form "ENV key value". HEALTHCHECK: the type, then as CMD.
  /// ONBUILD: one element, the trigger's text without heredoc bodies. With `json`: the decoded
  /// elements. Unknown instruction: one element, the rest of the line.
  std::vector<std::string> args;
  bool json = false;              // the arguments were a JSON array of strings
  std::vector<Heredoc> heredocs;  // in the order of their words
  int start = 0, end = 0;         // lines, 1-based and inclusive; heredocs included
  std::string
      text;  // the logical line: continuations joined, indentation dropped, heredoc bodies not in
  Comments comments;
  bool empty_continuation = false;  // a blank line inside (lint: NoEmptyContinuation)

  SourceRange where(const std::string& file) const { return {file, start, end}; }
};

/// "# syntax=…", "# escape=…", "# check=…" at the top of the file.
struct Directive {
  std::string value;
  int line = 0;
};

struct Ast {
  std::string file;                 // as errors show it
  char escape = '\\';               // or '`'
  std::optional<Directive> syntax;  // the whole value; its first word names the frontend
  std::optional<Directive> check;
  std::vector<Instruction> instructions;
};

/// One JSON array, an object for each instruction: name, flags, args, json, heredocs, start, end,
/// text (docs/ast.md). Ends with a newline.
std::string ast_json(const Ast& ast);

}  // namespace kiln::dockerfile
