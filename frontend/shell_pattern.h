// The patterns of ${v#p}, ${v%p} and ${v/p/r}: `*` and `?` only, no classes; `\` before `*`, `?`
// and `\` takes them literally, before `}` and `/` it vanishes. Characters are UTF-8 characters; an
// invalid byte is one of its own.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::dockerfile {

enum class Affix : uint8_t { kPrefix, kSuffix };
enum class Greed : uint8_t { kShortest, kLongest };
enum class Replace : uint8_t { kFirst, kAll };

/// `value` without the shortest or longest prefix (suffix) that `pattern` matches; `value` itself
/// if none does. kInvalidArgument: a `\` before something else. O(pattern × value).
Result<std::string> strip_affix(std::string_view value, std::string_view pattern, Affix affix,
                                Greed greed);

/// The first or every longest match from left to right becomes `with`, which is taken literally. An
/// empty match counts, as it does in a regular expression. kInvalidArgument as above. O(pattern ×
/// value) for each place.
Result<std::string> replace_matches(std::string_view value, std::string_view pattern,
                                    std::string_view with, Replace which);

}  // namespace kiln::dockerfile
