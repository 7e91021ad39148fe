// Values that Dockerfiles spell as Go reads them.
#pragma once

#include "base/result.h"

#include <chrono>
#include <cstdint>
#include <string_view>

namespace kiln::dockerfile {

/// Go's time.ParseDuration: "1h2m3.5s", units ns us µs ms s m h, a sign, "0". kInvalidArgument with
/// Go's texts: `time: invalid duration "x"`, `time: missing unit in duration "5"`, `time: unknown
/// unit "d" in duration "5d"`.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// Go's strconv.ParseBool: 1 t T TRUE true True, 0 f F FALSE false False. kInvalidArgument.
Result<bool> parse_bool(std::string_view text);

/// Digits of `base` (8 or 10) only, up to 2^32-1. kInvalidArgument.
Result<uint32_t> parse_uint32(std::string_view text, int base);

}  // namespace kiln::dockerfile
