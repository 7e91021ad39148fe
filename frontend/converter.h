// From typed instructions to a graph and an image config: the second half of the frontend,
// DOCKERFILE.md A.1-A.8.
#pragma once

#include "frontend/epoch_source.h"
#include "frontend/frontend.h"
#include "frontend/instructions.h"
#include "frontend/lint/linter.h"
#include "frontend/outline.h"

#include <vector>

namespace kiln::frontend {

/// What is converted, and what is asked for it. All but `stop` are borrowed.
struct ConvertInput {
  const FrontendRequest& request;
  const std::vector<dockerfile::TypedInstruction>& instructions;  // of the whole file
  char escape = '\\';                                             // the file's
  ImageConfigResolver& resolver;
  lint::Linter& linter;  // gets the findings, whatever is returned
  std::stop_token stop;
};

/// `warnings` is left empty: they are the linter's. Errors as dockerfile_to_llb's.
Result<FrontendResult> convert(const ConvertInput& input);
/// For the findings alone: the target and what it needs, or every stage if the request names no
/// target.
Status convert_for_checks(const ConvertInput& input);
Result<Outline> convert_for_outline(const ConvertInput& input);
/// Only as far as it takes to know what SOURCE_DATE_EPOCH names: see epoch_source().
Result<std::optional<EpochSource>> convert_for_epoch(const ConvertInput& input);

}  // namespace kiln::frontend
