// The one place that reads the time, so that tests can set it. Nothing that is hashed, written to
// an image or compared may depend on it but `created` times the user did not pin.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace kiln {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::sys_time<std::chrono::nanoseconds> now() const = 0;
  static const Clock& system();
};

/// RFC 3339 in UTC with nanoseconds, trailing zeros cut, as Go prints: "2026-01-02T03:04:05.1Z".
std::string format_rfc3339(std::chrono::sys_time<std::chrono::nanoseconds> time);
Result<std::chrono::sys_time<std::chrono::nanoseconds>> parse_rfc3339(std::string_view text);
/// Go's time.ParseDuration: "1h30m", "500ms", "1.5s".
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace kiln
