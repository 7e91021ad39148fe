// A cache that travels in an image's config (cache/FORMAT.md, "Inline caches"): the records of the
// steps whose results are the first layers of that image. What it says becomes entries, and is
// believed as little as those of other caches.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cache/key.h"
#include "oci/image.h"

namespace kiln::cache {

/// Of the config.
inline constexpr std::string_view kInlineKey = "kiln.cache.v1";

struct InlineRecord {
  KeyRecord record;
  size_t layers = 0;  // the result is so many of the image's, from the first; at least one
  std::chrono::sys_time<std::chrono::nanoseconds> created{};
};
struct InlineAlias {
  KeyRecord fast;
  CacheKey target;  // of one of the records
};
struct InlineCache {
  std::vector<std::chrono::sys_seconds> layer_times;  // when each layer of the image was made
  std::vector<InlineRecord> records;
  std::vector<InlineAlias> aliases;
};

/// Each key once, in an order that does not depend on the cache's. Of more than 4 MiB the records
/// of the fewest layers are left out: a config has to stay one that everybody reads.
Json to_json(InlineCache cache);
/// The entries (cache/entry.h) of an image with this config and manifest, by their keys; what does
/// not make sense is none.
std::map<CacheKey, std::string> inline_entries(const Json& config, const oci::Manifest& manifest);

}  // namespace kiln::cache
