#include "cache/entry_manifest.h"

#include "oci/base64.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kEntryAnnotation = "dev.kiln.cache.entry";
constexpr std::string_view kEmptyType = "application/vnd.oci.empty.v1+json";

}  // namespace

oci::Descriptor empty_descriptor() {
  return {
      std::string(kEmptyType), Digest::of(kEmptyDocument), kEmptyDocument.size(), std::nullopt, {}};
}

bool is_entry_tag(std::string_view tag) {
  constexpr size_t kHex = 64;
  if (tag.size() < kHex + 2 || tag[tag.size() - kHex - 1] != '.') return false;
  return tag.substr(tag.size() - kHex).find_first_not_of("0123456789abcdef") ==
         std::string_view::npos;
}

std::string entry_tag(std::string_view cache_tag, const CacheKey& key) {
  return std::string(cache_tag) + "." + key.digest.hex();
}

std::string entry_manifest(const Publication& publication) {
  Json manifest = Json::object();
  manifest.set("schemaVersion", 2);
  manifest.set("mediaType", oci::media_type::kManifest);
  manifest.set("artifactType", kEntryArtifactType);
  manifest.set("config", to_json(empty_descriptor()));
  Json layers = Json::array();
  for (const oci::Descriptor& blob : publication.blobs) layers.push_back(to_json(blob));
  if (publication.blobs.empty()) layers.push_back(to_json(empty_descriptor()));
  manifest.set("layers", std::move(layers));
  Json annotations = Json::object();
  annotations.set(kEntryAnnotation, oci::encode_base64(publication.entry));
  manifest.set("annotations", std::move(annotations));
  return manifest.dump();
}

std::optional<std::string> entry_in_manifest(std::string_view manifest) {
  const Result<Json> json = Json::parse(manifest);
  if (!json) return std::nullopt;
  const std::string& text = (*json)["annotations"][kEntryAnnotation].as_string();
  return text.empty() ? std::nullopt : oci::decode_base64(text);
}

}  // namespace kiln::cache
