// Which entries of build caches go: those that nobody has looked up or published for long, and the
// longest unused ones while all of them together are too large. Their blobs follow with the next
// collections, once no manifest refers to them.
#pragma once

#include "cache/server/registry.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace kiln::server {

struct CacheLimits {
  std::optional<std::chrono::seconds> max_age;
  std::optional<uint64_t> max_bytes;  // of all entries' manifests and blobs, each blob once
  bool any() const { return max_age || max_bytes; }
  bool operator==(const CacheLimits&) const = default;
};

/// A use is noted if the last one that was is older than this.
inline constexpr std::chrono::minutes kNoteUseAfter{10};

struct Evicted {
  size_t entries = 0;
  uint64_t entries_left = 0, bytes_left = 0;
};
/// Safe beside everything else. Entries are told by their tags' form and their artifact type; other
/// manifests and their sizes do not count.
ApiResult<Evicted> evict_entries(Registry& registry, const CacheLimits& limits, TimePoint now);

}  // namespace kiln::server
