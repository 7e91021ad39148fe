// Entries as manifests of a registry's repository (cache/FORMAT.md, "Caches in registries").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/transport.h"

namespace kiln::cache {

inline constexpr size_t kMaxCacheTag = 128 - 1 - 64;  // with a dot and a key it is a tag

/// What the empty config of such manifests is.
oci::Descriptor empty_descriptor();
inline constexpr std::string_view kEmptyDocument = "{}";

inline constexpr std::string_view kEntryArtifactType = "application/vnd.kiln.cache.entry.v1";

/// A tag of the form that entry_tag() gives; others may have one, too.
bool is_entry_tag(std::string_view tag);
std::string entry_tag(std::string_view cache_tag, const CacheKey& key);
std::string entry_manifest(const Publication& publication);
/// The entry's bytes, unverified; nullopt: it is no such manifest.
std::optional<std::string> entry_in_manifest(std::string_view manifest);
}  // namespace kiln::cache
