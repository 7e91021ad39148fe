// The capabilities that kiln itself has and can pass on: the bounding and permitted sets of
// /proc/self/status, as a mask by number.
#pragma once

#include <cstdint>
#include <string_view>

namespace kiln {

uint64_t parse_capabilities(std::string_view proc_status);  // pure; 0: none found
uint64_t own_capabilities();

}  // namespace kiln
