// Places and sources in the JSON of BuildKit's subrequests.
#pragma once

#include "base/json.h"
#include "base/result.h"

#include <string_view>

namespace kiln::frontend {

/// {"ranges":[{"start":{"line":1},"end":{"line":2}}]}; {} without a position. There is one source,
/// whose index 0 is left out.
Json location_json(const SourceRange& where);
/// The text as JSON carries bytes: base64.
Json source_data(std::string_view text);

}  // namespace kiln::frontend
