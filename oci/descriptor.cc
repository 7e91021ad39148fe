#include "oci/descriptor.h"

#include <algorithm>
#include <array>

namespace kiln::oci {
namespace {

constexpr std::array kIndexTypes = {media_type::kIndex, media_type::kDockerIndex};
constexpr std::array kManifestTypes = {media_type::kManifest, media_type::kDockerManifest};
constexpr std::array kLayerTypes = {media_type::kLayerTar,        media_type::kLayerGzip,
                                    media_type::kLayerZstd,       media_type::kDockerLayerTar,
                                    media_type::kDockerLayerGzip, media_type::kDockerLayerZstd};

bool contains(const auto& types, std::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

Json platform_json(const Platform& platform) {
  Json json = Json::object();
  json.set("architecture", platform.architecture);
  json.set("os", platform.os);
  if (!platform.variant.empty()) json.set("variant", platform.variant);
  return json;
}

}  // namespace

bool is_index(std::string_view type) {
  return contains(kIndexTypes, type);
}
bool is_manifest(std::string_view type) {
  return contains(kManifestTypes, type);
}
bool is_layer(std::string_view type) {
  return contains(kLayerTypes, type);
}

Json to_json(const Descriptor& descriptor) {
  Json json = Json::object();
  json.set("mediaType", descriptor.media_type);
  json.set("digest", descriptor.digest.to_string());
  json.set("size", descriptor.size);
  if (!descriptor.annotations.empty()) {
    Json annotations = Json::object();
    for (const auto& [key, value] : descriptor.annotations) annotations.set(key, value);
    json.set("annotations", std::move(annotations));
  }
  if (descriptor.platform) json.set("platform", platform_json(*descriptor.platform));
  return json;
}

Result<Descriptor> descriptor_from_json(const Json& json) {
  if (!json.is_object()) return fail(Code::kInvalidArgument, "a descriptor is not a JSON object");
  Result<Digest> digest = Digest::parse(json["digest"].as_string());
  if (!digest) return tl::unexpected(digest.error().wrap("descriptor"));
  const Json& size = json["size"];
  if (!size.is_number() || size.as_int(-1) < 0)
    return fail(Code::kInvalidArgument,
                "the descriptor of " + digest->to_string() + " has no size");
  Descriptor descriptor{json["mediaType"].as_string(), *digest, size.as_uint(), std::nullopt, {}};
  if (const Json& platform = json["platform"]; platform.is_object())
    descriptor.platform = Platform{platform["os"].as_string(), platform["architecture"].as_string(),
                                   platform["variant"].as_string()};
  for (const auto& [key, value] : json["annotations"].members())
    descriptor.annotations[key] = value.as_string();
  return descriptor;
}

}  // namespace kiln::oci
