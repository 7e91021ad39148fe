// What a shared cache keeps of a cache mount (cache/FORMAT.md, "Cache mounts"): the chunks of a tar
// of its files. Under a key of the mount's name, where the last writer wins.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.h"
#include "oci/descriptor.h"

namespace kiln::cache {

struct MountChunk {
  Digest raw;
  uint64_t raw_bytes = 0;
  oci::Descriptor blob;  // compressed
  bool operator==(const MountChunk&) const = default;
};
struct MountEntry {
  std::string id;
  std::vector<MountChunk> chunks;  // in order
  bool operator==(const MountEntry&) const = default;
};

inline constexpr std::string_view kChunkMediaType = "application/vnd.kiln.cache.chunk.v1+zstd";

CacheKey mount_key(const std::string& id);
std::string encode_mount(const MountEntry& entry);
/// Also of a signed one. kDataLoss: torn, of an unknown version, of another id, a chunk of a size
/// that none can have.
Result<MountEntry> decode_mount(const std::string& id, std::string_view bytes);
/// As decode_mount, of whatever id; nullopt: it is none.
std::optional<MountEntry> as_mount(std::string_view bytes);

}  // namespace kiln::cache
