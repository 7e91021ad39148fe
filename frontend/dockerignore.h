// The ignore file's format (DOCKERFILE.md A.7): lines to patterns. What patterns mean is
// base/pattern_matcher.h.
#pragma once

#include "base/pattern_matcher.h"
#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

/// The patterns of an ignore file's text: a BOM, comments ("#" in column 1) and blank lines are
/// left out; each line is trimmed and cleaned, a leading "/" dropped, a leading "!" kept.
std::vector<std::string> read_ignore_patterns(std::string_view text);

/// read_ignore_patterns and PatternMatcher::compile; errors are placed at `file`.
Result<PatternMatcher> parse_dockerignore(std::string_view text, const std::string& file);

}  // namespace kiln::dockerfile
