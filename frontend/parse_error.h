// How the parser's and the typed instructions' errors look (DOCKERFILE.md A.11).
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

/// kInvalidArgument without a place: who parses the line adds it.
inline tl::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

/// kInvalidArgument "dockerfile parse error on line N: <message>" at `where`; no prefix and no
/// place without a line.
Error parse_error(const SourceRange& where, std::string_view message);

/// The same around an error that has no place yet; code and hint stay.
Error parse_error(const SourceRange& where, const Error& error);

/// One Error out of many: the first one with the others attached. KILN_CHECKs that there is one.
Error combine_errors(const std::vector<Error>& errors);

}  // namespace kiln::dockerfile
