// Text as a terminal shows it: columns that characters take, and escape sequences that programs
// print for terminals. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kiln::cmd {

/// Columns that `text` takes: 2 for wide characters (CJK, emoji), 0 for combining ones. Control
/// bytes must not be in it.
size_t columns_of(std::string_view text);
/// The longest beginning that fits into `columns`.
std::string cut_to_columns(std::string_view text, size_t columns);
/// Tabs become spaces up to the next multiple of 8 columns.
std::string with_tabs_as_spaces(std::string_view text);
/// Without the control sequences (ECMA-48 "CSI") and operating system commands ("OSC") that colour
/// output and name windows. What is incomplete stays, for the caller to make printable.
std::string without_control_sequences(std::string_view text);

}  // namespace kiln::cmd
