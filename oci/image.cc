#include "oci/image.h"

namespace kiln::oci {
namespace {

constexpr Json::Limits kDocumentLimits{kMaxDocumentBytes, 32};

Json descriptors(const std::vector<Descriptor>& list) {
  Json json = Json::array();
  for (const Descriptor& descriptor : list) json.push_back(to_json(descriptor));
  return json;
}

void set_annotations(Json& json, const std::map<std::string, std::string>& annotations) {
  if (annotations.empty()) return;
  Json object = Json::object();
  for (const auto& [key, value] : annotations) object.set(key, value);
  json.set("annotations", std::move(object));
}

// A document that reads as a manifest to one tool and as an index to another names two images with
// one digest.
Result<Json> parse_document(std::string_view text, const char* kind) {
  Result<Json> json = Json::parse(text, kDocumentLimits);
  if (!json) return tl::unexpected(json.error().wrap(std::string("parse image ") + kind));
  if (!json->is_object())
    return fail(Code::kInvalidArgument, std::string("the image ") + kind + " is not a JSON object");
  const bool manifest = json->find("layers") != nullptr || json->find("config") != nullptr;
  const bool index = json->find("manifests") != nullptr;
  if (manifest && index)
    return fail(Code::kInvalidArgument, "the document is both a manifest and an index");
  if (json->find("fsLayers") != nullptr)
    return fail(Code::kUnimplemented, "image manifests of schema 1 are not supported");
  return json;
}

Result<std::vector<Descriptor>> descriptor_list(const Json& list) {
  std::vector<Descriptor> all;
  for (const Json& element : list.elements()) {
    KILN_TRY_ASSIGN(Descriptor descriptor, descriptor_from_json(element));
    all.push_back(std::move(descriptor));
  }
  return all;
}

std::map<std::string, std::string> annotations_of(const Json& json) {
  std::map<std::string, std::string> annotations;
  for (const auto& [key, value] : json["annotations"].members())
    annotations[key] = value.as_string();
  return annotations;
}

// arm variants that a CPU of `wanted` runs, best first.
std::vector<std::string> runnable_variants(const Platform& wanted) {
  if (wanted.architecture == "arm64") return {wanted.variant, "", "v8"};
  if (wanted.architecture != "arm") return {wanted.variant, ""};
  std::vector<std::string> variants;
  const char newest = wanted.variant.size() == 2 ? wanted.variant[1] : '7';
  for (char version = newest; version >= '5'; --version)
    variants.push_back(std::string("v") + version);
  variants.emplace_back("");
  return variants;
}

}  // namespace

std::string to_json_text(const Manifest& manifest) {
  Json json = Json::object();
  json.set("schemaVersion", 2);
  json.set("mediaType", manifest.media_type);
  json.set("config", to_json(manifest.config));
  json.set("layers", descriptors(manifest.layers));
  set_annotations(json, manifest.annotations);
  return json.dump();
}

std::string to_json_text(const Index& index) {
  Json json = Json::object();
  json.set("schemaVersion", 2);
  json.set("mediaType", index.media_type);
  json.set("manifests", descriptors(index.manifests));
  set_annotations(json, index.annotations);
  return json.dump();
}

Result<Manifest> parse_manifest(std::string_view text) {
  KILN_TRY_ASSIGN(const Json json, parse_document(text, "manifest"));
  Result<Descriptor> config = descriptor_from_json(json["config"]);
  if (!config) return tl::unexpected(config.error().wrap("image manifest: config"));
  Manifest manifest{json["mediaType"].as_string(), *std::move(config), {}, annotations_of(json)};
  if (manifest.media_type.empty()) manifest.media_type = media_type::kManifest;
  KILN_TRY_ASSIGN(manifest.layers, descriptor_list(json["layers"]));
  return manifest;
}

Result<Index> parse_index(std::string_view text) {
  KILN_TRY_ASSIGN(const Json json, parse_document(text, "index"));
  if (json.find("manifests") == nullptr)
    return fail(Code::kInvalidArgument, "the image index has no manifests");
  Index index{json["mediaType"].as_string(), {}, annotations_of(json)};
  if (index.media_type.empty()) index.media_type = media_type::kIndex;
  KILN_TRY_ASSIGN(index.manifests, descriptor_list(json["manifests"]));
  return index;
}

Result<ConfigFacts> config_facts(const Json& config) {
  if (!config.is_object())
    return fail(Code::kInvalidArgument, "the image config is not a JSON object");
  ConfigFacts facts;
  facts.platform = {config["os"].as_string(), config["architecture"].as_string(),
                    config["variant"].as_string()};
  for (const Json& element : config["rootfs"]["diff_ids"].elements()) {
    KILN_TRY_ASSIGN(const Digest diff_id, Digest::parse(element.as_string()));
    facts.diff_ids.push_back(diff_id);
  }
  return facts;
}

const Descriptor* select_platform(const Index& index, const Platform& wanted) {
  for (const std::string& variant : runnable_variants(wanted)) {
    for (const Descriptor& manifest : index.manifests) {
      if (!manifest.platform || manifest.platform->os != wanted.os) continue;
      if (manifest.platform->architecture == wanted.architecture &&
          manifest.platform->variant == variant)
        return &manifest;
    }
  }
  return nullptr;
}

}  // namespace kiln::oci
