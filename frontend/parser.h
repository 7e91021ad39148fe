// Text of a Dockerfile to its AST: line_reader.h for what is not context-free, line_grammar.h for
// each logical line.
#pragma once

#include "base/result.h"
#include "frontend/ast.h"
#include "frontend/directives.h"
#include "frontend/parse_error.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

/// `ast` holds every instruction that could be read, whatever `errors` says. Errors are in order of
/// lines.
struct Parsed {
  Ast ast;
  std::vector<Error>
      errors;  // kInvalidArgument, each with its range; "dockerfile parse error on line N: ..."
};

/// Syntax only: unknown instructions and flags pass and fail in parse_instructions(). Any bytes are
/// legal input. "the Dockerfile cannot be empty", "file with no instructions": errors without a
/// line prefix. `file` is how errors name the file. Pure; safe from any thread.
Parsed parse(std::string_view text, const std::string& file);

/// Instructions outside a file, such as an ONBUILD trigger: no directives, and every range and
/// error is `where`.
Parsed parse_fragment(std::string_view text, char escape, const SourceRange& where);

}  // namespace kiln::dockerfile
