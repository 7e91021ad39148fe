#include "frontend/source_date_epoch.h"

#include "base/strings.h"

namespace kiln::frontend {

Result<int64_t> parse_source_date_epoch(const std::string& text) {
  // Beyond it neither four digits of a year nor nanoseconds in 64 bits say it.
  constexpr int64_t kLast = 9'223'372'036;
  const Result<int64_t> seconds = parse_int(text);
  if (seconds && *seconds >= 0 && *seconds <= kLast) return *seconds;
  return tl::unexpected(Error(Code::kInvalidArgument, "invalid SOURCE_DATE_EPOCH: " + quote(text) +
                                                          " is not a number of seconds since 1970")
                            .hint("git log -1 --format=%ct prints the one of the last commit"));
}

}  // namespace kiln::frontend
