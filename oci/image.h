// Manifest, index and config documents (image-spec manifest.md, image-index.md, config.md). Written
// byte-stable: fields in the order of the spec, configs keep the fields and the order they came
// with.
#pragma once

#include "oci/descriptor.h"

namespace kiln::oci {

struct Manifest {
  std::string media_type{media_type::kManifest};
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
};
struct Index {
  std::string media_type{media_type::kIndex};
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations;
};
std::string to_json_text(const Manifest& manifest);
std::string to_json_text(const Index& index);
/// Larger documents are refused, whoever wrote them (SAFETY.md 4.3).
inline constexpr uint64_t kMaxDocumentBytes = 4U << 20U;  // manifests and indexes
inline constexpr uint64_t kMaxConfigBytes = 8U << 20U;

/// At most kMaxDocumentBytes; a document that is both manifest and index is refused
/// (SAFETY.md 4.3).
Result<Manifest> parse_manifest(std::string_view text);
/// How deep indexes may lie in indexes.
inline constexpr int kMaxIndexNesting = 3;

Result<Index> parse_index(std::string_view text);

/// The few fields of an image config that kiln itself reads; the document stays JSON.
struct ConfigFacts {
  Platform platform;
  std::vector<Digest> diff_ids;
};
Result<ConfigFacts> config_facts(const Json& config);

/// The index entry for `wanted`: exact, then same os/architecture with a variant the host can run
/// (arm64 v8, arm vN downwards), then nullptr. Attestation manifests (platform unknown/unknown)
/// never match.
const Descriptor* select_platform(const Index& index, const Platform& wanted);

}  // namespace kiln::oci
