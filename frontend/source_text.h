// A request's Dockerfile as typed instructions, checked as far as its text goes: where every use of
// the frontend begins.
#pragma once

#include "base/result.h"
#include "frontend/frontend.h"
#include "frontend/instructions.h"
#include "frontend/lint/linter.h"

#include <vector>

namespace kiln::frontend {

struct SourceText {
  std::vector<dockerfile::TypedInstruction> instructions;  // those that could be read
  char escape = '\\';
  lint::Linter linter;  // with the findings of lint::check_file
  Status status;        // all syntax errors in one; other text cannot be read at all
};

/// Pure. `status` is kInvalidArgument, or kUnimplemented for a "# syntax=" that is not this
/// frontend's.
SourceText read_source(const FrontendRequest& request);

}  // namespace kiln::frontend
