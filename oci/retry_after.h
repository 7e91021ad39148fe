// How long a server asks to be left alone (RFC 9110, "Retry-After").
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace kiln::oci {

/// Seconds, or the time of an HTTP date that is not past; 60 seconds at most (SAFETY.md 4.2).
/// nullopt: it says neither, or no time at all.
std::optional<std::chrono::seconds> retry_after(
    const std::string& header, std::chrono::sys_time<std::chrono::nanoseconds> now);

}  // namespace kiln::oci
