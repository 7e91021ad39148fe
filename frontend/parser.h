// Text of a Dockerfile to its AST: line_reader.h for what is not context-free, the ANTLR grammar
// for each logical line. parser.cc is the only user of ANTLR; its exceptions end there.
#pragma once

#include "base/result.h"
#include "frontend/ast.h"

#include <optional>
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

/// The frontend that a file asks for: "# syntax=", also after a "#!" line, "// syntax=", or a JSON
/// object's "syntax" (A.0, Parser directives). nullopt: none.
std::optional<Directive> detect_syntax(std::string_view text);

/// One Error out of many: the first, with the others' lines and messages appended. KILN_CHECKs that
/// there is one.
Error combine_errors(const std::vector<Error>& errors);

}  // namespace kiln::dockerfile
