// What a registry must know of a manifest or index: its type, what it refers to, and what it says
// about another one (image-spec manifest.md, image-index.md). Pure.
#pragma once

#include "base/json.h"
#include "cache/server/api_error.h"
#include "cache/server/blob_digest.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

struct ManifestDocument {
  struct Content {
    BlobDigest digest;
    uint64_t size = 0;
    bool manifest = false;   // a manifest of the same repository; otherwise a blob
    bool elsewhere = false;  // may lie where its "urls" say
  };
  std::string media_type;
  std::vector<Content> contents;      // all that must be there first
  std::optional<BlobDigest> subject;  // need not be there
  std::string artifact_type;          // as the referrers API tells it; "": none
  Json annotations;                   // an object, or null
  std::vector<std::string> warnings;  // for the client: accepted, but old
};

inline constexpr uint64_t kMaxManifestBytes = 4U << 20U;
inline constexpr int kMaxManifestDepth = 32;

/// MANIFEST_INVALID: not JSON, duplicate keys, manifest and index at once, schema 1, another type
/// than `content_type` ("": as the document says), broken descriptors.
ApiResult<ManifestDocument> parse_manifest_document(std::string_view text,
                                                    std::string_view content_type);
/// What a repository's record of it says; `bytes`: of the document.
std::string manifest_record(const ManifestDocument& document, uint64_t bytes);

}  // namespace kiln::server
