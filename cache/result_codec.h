// A CacheResult as bytes with a checksum (cache/FORMAT.md, "Results").
#pragma once

#include <string>
#include <string_view>

#include "cache/store.h"

namespace kiln::cache {

/// `key` is written too, so that a result which got under another key is told apart.
std::string encode_result(const CacheKey& key, const CacheResult& result);
/// kDataLoss: torn, of an unknown version, or of another key.
Result<CacheResult> decode_result(const CacheKey& key, std::string_view bytes);

}  // namespace kiln::cache
