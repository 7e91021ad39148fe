// Go's filepath.Match, byte for byte what COPY's wildcards and ignore files are defined by: `*` and
// `?` never match "/",
// `[a-z]`, `[^x]`, `\` escapes.
#pragma once

#include "base/result.h"

#include <string_view>

namespace kiln {

/// Does `name` match `pattern` as a whole? kInvalidArgument "syntax error in pattern": an unclosed
/// or empty class, a bad range, a trailing "\"; found even where matching would have ended earlier.
/// `?` and classes match one UTF-8 character.
Result<bool> glob_match(std::string_view pattern, std::string_view name);
/// kInvalidArgument if glob_match would refuse the pattern.
Status check_glob(std::string_view pattern);
/// Is there an unescaped `*`, `?` or `[`? A `\` alone is no wildcard.
bool has_wildcard(std::string_view pattern);

}  // namespace kiln
