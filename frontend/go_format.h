// How Go prints the values that BuildKit puts into history entries.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace kiln::frontend {

/// fmt's %v of a []string: "[a b]".
std::string go_list(const std::vector<std::string>& values);
/// fmt's %q of a []string: `["a" "b"]`.
std::string go_quoted_list(const std::vector<std::string>& values);
/// fmt's %q of an integer: the character that it numbers, in single quotes: '\x03'.
std::string go_quoted_rune(int value);
/// time.Duration: "0s", "1.5s", "300ms", "1m30s", "1h0m0s".
std::string go_duration(std::chrono::nanoseconds duration);

}  // namespace kiln::frontend
