// The lines of a Dockerfile that an error or a warning is about, as people see them (DOCKERFILE.md
// A.11).
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace kiln::dockerfile {

/// The lines of `where` marked ">>>", a few around them, between rules, under "file:line". Control
/// bytes are escaped, credentials of URLs left out, long lines end in "...", and of many marked
/// lines the middle is left out.
/// "" if there is no place or it lies outside.
std::string source_block(const SourceRange& where, const std::string& file, std::string_view text);

}  // namespace kiln::dockerfile
