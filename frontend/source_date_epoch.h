// SOURCE_DATE_EPOCH: the time that a build gives to all it makes (DOCKERFILE.md A.3.10).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace kiln::frontend {

/// Seconds since 1970, up to what RFC 3339 and nanoseconds in 64 bits can both say.
/// kInvalidArgument otherwise.
Result<int64_t> parse_source_date_epoch(const std::string& text);

}  // namespace kiln::frontend
