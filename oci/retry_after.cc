#include "oci/retry_after.h"

#include <algorithm>
#include <ctime>

#include "base/strings.h"

namespace kiln::oci {
namespace {

constexpr std::chrono::seconds kLongestPause{60};

// RFC 9110, "Date/Time Formats": the preferred form; the obsolete ones nobody sends any more.
std::optional<std::chrono::sys_seconds> http_time(const std::string& text) {
  struct tm parts {};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return std::chrono::sys_seconds(std::chrono::seconds(::timegm(&parts)));
}

}  // namespace

std::optional<std::chrono::seconds> retry_after(
    const std::string& header, std::chrono::sys_time<std::chrono::nanoseconds> now) {
  std::chrono::seconds wait{0};
  if (const auto seconds = parse_int(header)) {
    wait = std::chrono::seconds(std::clamp<int64_t>(*seconds, 0, kLongestPause.count()));
  } else if (const auto time = http_time(header)) {
    wait = *time - std::chrono::floor<std::chrono::seconds>(now);
  }
  if (wait.count() <= 0) return std::nullopt;
  return std::min(wait, kLongestPause);
}

}  // namespace kiln::oci
