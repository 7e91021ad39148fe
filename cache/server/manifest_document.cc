#include "cache/server/manifest_document.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "oci/descriptor.h"

namespace kiln::server {
namespace {

namespace types = oci::media_type;

// A parsed value takes far more than the two bytes it may have in the text.
constexpr std::ptrdiff_t kMaxValues = 100000;
constexpr std::array kForeignLayers = {
    std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar"),
    std::string_view("application/vnd.docker.image.rootfs.foreign.diff.tar")};

tl::unexpected<ApiError> invalid(std::string message) {
  return refuse(400, api::kManifestInvalid, std::move(message));
}

bool is_foreign(std::string_view type) {
  return std::any_of(kForeignLayers.begin(), kForeignLayers.end(),
                     [&](std::string_view foreign) { return type.starts_with(foreign); });
}

ApiResult<ManifestDocument::Content> content_of(const Json& descriptor, const std::string& what) {
  if (!descriptor.is_object()) return invalid(what + " is not a descriptor");
  const Result<BlobDigest> digest = BlobDigest::parse(descriptor["digest"].as_string());
  if (!digest) return invalid(what + ": " + digest.error().message());
  const Json& size = descriptor["size"];
  if (size.number_kind() == Json::NumberKind::kDouble || !size.is_number() || size.as_int(-1) < 0)
    return invalid(what + " has no size");
  if (descriptor["mediaType"].as_string().empty()) return invalid(what + " has no mediaType");
  return ManifestDocument::Content{*digest, size.as_uint()};
}

// Content-Type, mediaType and the fields must tell of one and the same type.
ApiResult<std::string> type_of(const Json& json, std::string_view content_type) {
  const bool manifest = json.find("layers") != nullptr || json.find("config") != nullptr;
  const bool index = json.find("manifests") != nullptr;
  if (manifest && index) return invalid("the document is both a manifest and an index");
  if (json["schemaVersion"].as_int() == 1 || json.find("fsLayers") != nullptr)
    return invalid("manifests of schema 1 are not supported");
  if (json["schemaVersion"].as_int() != 2) return invalid("schemaVersion is not 2");
  if (const Json* inside = json.find("mediaType"); inside != nullptr && !inside->is_string())
    return invalid("mediaType is not a string");
  const std::string& inside = json["mediaType"].as_string();
  const std::string outside(trim(content_type.substr(0, content_type.find(';'))));
  if (!inside.empty() && !outside.empty() && inside != outside)
    return invalid("mediaType is \"" + inside + "\", but Content-Type is \"" + outside + "\"");
  std::string type = inside.empty() ? outside : inside;
  if (type.empty()) type = index ? types::kIndex : types::kManifest;
  if (!oci::is_manifest(type) && !oci::is_index(type))
    return invalid("manifests of type \"" + type + "\" are not supported");
  if (oci::is_manifest(type) && (!manifest || index)) return invalid("the manifest has no layers");
  if (oci::is_index(type) && !index) return invalid("the index has no manifests");
  return type;
}

ApiStatus read_manifest(const Json& json, ManifestDocument& document) {
  auto config = content_of(json["config"], "config");
  if (!config) return tl::unexpected(config.error());
  document.contents.push_back(*std::move(config));
  if (!json["layers"].is_array()) return invalid("layers is not a list");
  size_t number = 0;
  for (const Json& layer : json["layers"].elements()) {
    auto content = content_of(layer, "layer " + std::to_string(++number));
    if (!content) return tl::unexpected(content.error());
    const std::string& type = layer["mediaType"].as_string();
    content->elsewhere = is_foreign(type) && !layer["urls"].elements().empty();
    if (is_foreign(type) && document.warnings.empty())
      document.warnings.push_back("non-distributable layers are deprecated: " + type);
    document.contents.push_back(*std::move(content));
  }
  return {};
}

ApiStatus read_index(const Json& json, ManifestDocument& document) {
  if (!json["manifests"].is_array()) return invalid("manifests is not a list");
  size_t number = 0;
  for (const Json& manifest : json["manifests"].elements()) {
    auto content = content_of(manifest, "manifest " + std::to_string(++number));
    if (!content) return tl::unexpected(content.error());
    const std::string& type = manifest["mediaType"].as_string();
    content->manifest = oci::is_manifest(type) || oci::is_index(type);
    document.contents.push_back(*std::move(content));
  }
  return {};
}

}  // namespace

ApiResult<ManifestDocument> parse_manifest_document(std::string_view text,
                                                    std::string_view content_type) {
  const auto values = std::count_if(text.begin(), text.end(),
                                    [](char c) { return c == ',' || c == '[' || c == '{'; });
  if (values > kMaxValues) return invalid("the manifest has too many values");
  const Result<Json> json = Json::parse(text, {kMaxManifestBytes, kMaxManifestDepth});
  if (!json) return invalid(json.error().message());
  if (!json->is_object()) return invalid("the manifest is not a JSON object");
  ManifestDocument document;
  KILN_TRY_ASSIGN(document.media_type, type_of(*json, content_type));
  const bool index = oci::is_index(document.media_type);
  KILN_TRY(index ? read_index(*json, document) : read_manifest(*json, document));
  if (const Json* subject = json->find("subject")) {
    const auto content = content_of(*subject, "subject");
    if (!content) return tl::unexpected(content.error());
    document.subject = content->digest;
  }
  document.artifact_type = (*json)["artifactType"].as_string();
  // distribution-spec, "Listing Referrers": the config's type stands in for an image manifest.
  if (document.artifact_type.empty() && !index)
    document.artifact_type = (*json)["config"]["mediaType"].as_string();
  if ((*json)["annotations"].is_object()) document.annotations = (*json)["annotations"];
  return document;
}

std::string manifest_record(const ManifestDocument& document, uint64_t bytes) {
  Json facts = Json::object({{"mediaType", document.media_type}, {"size", bytes}});
  if (document.subject) facts.set("subject", document.subject->to_string());
  return facts.dump();
}

}  // namespace kiln::server
