#include "base/fingerprint.h"

#include <xxhash.h>

namespace kiln {

uint64_t fingerprint(std::span<const std::byte> data) {
  return XXH3_64bits(data.data(), data.size());
}

uint64_t fingerprint(std::string_view data) {
  return XXH3_64bits(data.data(), data.size());
}

}  // namespace kiln
