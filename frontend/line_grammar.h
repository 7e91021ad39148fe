// One logical line through the ANTLR grammar (DockerfileLexer.g4, DockerfileParser.g4): the
// instruction's name, its flags and its arguments as words. ANTLR stays behind this header.
#pragma once

#include "base/result.h"
#include "frontend/ast.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

class LineGrammar {
 public:
  explicit LineGrammar(char escape);
  ~LineGrammar();
  LineGrammar(const LineGrammar&) = delete;
  LineGrammar& operator=(const LineGrammar&) = delete;

  /// Fills name, original_name, flags, args, json and text from `line`; nothing else.
  /// kInvalidArgument, without a place: what ENV, LABEL and JSON arrays refuse. The instruction's
  /// names and flags are set even then.
  Status parse(std::string_view line, Instruction& out);

 private:
  struct Machine;  // ANTLR's lexer and parser: made once, because that costs more than a line
  std::unique_ptr<Machine> machine_;
};

}  // namespace kiln::dockerfile
