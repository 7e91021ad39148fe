// XXH3-64: for in-memory maps, stat caches and record checksums. Never on the wire, in a cache key
// or as a blob's name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kiln {

uint64_t fingerprint(std::span<const std::byte> data);
uint64_t fingerprint(std::string_view data);

}  // namespace kiln
