#include "exporter/image_assembler.h"

#include "base/clock.h"
#include "cache/inline_cache.h"

namespace kiln {
namespace {

constexpr std::string_view kBuildKitInlineKey = "moby.buildkit.cache.v0";

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

Time epoch_time(int64_t seconds) {
  return Time(std::chrono::seconds(seconds));
}

bool is_empty_layer(const Json& entry) {
  return entry["empty_layer"].as_bool();
}

std::string layer_type(std::string_view type, bool docker) {
  using namespace oci::media_type;
  if (docker) {
    if (type == kLayerTar) return std::string(kDockerLayerTar);
    if (type == kLayerGzip) return std::string(kDockerLayerGzip);
    if (type == kLayerZstd) return std::string(kDockerLayerZstd);
    return std::string(type);
  }
  if (type == kDockerLayerTar) return std::string(kLayerTar);
  if (type == kDockerLayerGzip) return std::string(kLayerGzip);
  if (type == kDockerLayerZstd) return std::string(kLayerZstd);
  return std::string(type);
}

// Entries get a time from the layer they stand for; metadata entries take the time of the layer
// before them, and those before any layer that of the first one with a time.
void fill_times(Json::Array& entries, std::span<const ChainLayer> layers) {
  size_t layer = 0;
  std::string previous;
  for (Json& entry : entries) {
    std::string own = entry["created"].as_string();
    if (!is_empty_layer(entry)) {
      if (own.empty() && layer < layers.size()) own = format_rfc3339(layers[layer].created);
      ++layer;
    }
    if (own.empty()) own = previous;
    if (!own.empty()) {
      entry.set("created", own);
      previous = own;
    }
  }
  std::string first;
  for (const Json& entry : entries)
    if (first.empty()) first = entry["created"].as_string();
  for (Json& entry : entries)
    if (entry["created"].as_string().empty() && !first.empty()) entry.set("created", first);
}

std::string created_of(const Json& history, const AssembleRequest& request) {
  if (request.source_date_epoch) return format_rfc3339(epoch_time(*request.source_date_epoch));
  for (auto it = history.elements().rbegin(); it != history.elements().rend(); ++it)
    if (const std::string& created = (*it)["created"].as_string(); !created.empty()) return created;
  return format_rfc3339(request.now);
}

}  // namespace

Json reconcile_history(const Json& history, std::span<const ChainLayer> layers,
                       std::optional<int64_t> source_date_epoch) {
  Json::Array entries = history.elements();
  size_t with_layer = 0;
  for (Json& entry : entries) {
    if (is_empty_layer(entry)) continue;
    if (with_layer == layers.size())
      entry.set("empty_layer", true);
    else
      ++with_layer;
  }
  // A base without (enough) history: its layers are the oldest, so the entries for them come first.
  const size_t missing = layers.size() - with_layer;
  for (size_t i = 0; i < missing; ++i) {
    Json entry = Json::object();
    if (source_date_epoch) entry.set("created", format_rfc3339(epoch_time(*source_date_epoch)));
    entries.insert(entries.begin() + static_cast<Json::Array::difference_type>(i), entry);
  }
  fill_times(entries, layers);
  return Json(std::move(entries));
}

Result<AssembledImage> assemble_image(const AssembleRequest& request) {
  KILN_TRY_ASSIGN(Json config, Json::parse(request.config_json));
  if (!config.is_object())
    return fail(Code::kInvalidArgument, "the image config is not a JSON object");
  Json diff_ids = Json::array();
  for (const ChainLayer& layer : request.layers) diff_ids.push_back(layer.blob.diff_id.to_string());
  Json rootfs = Json::object();
  rootfs.set("type", "layers");
  rootfs.set("diff_ids", std::move(diff_ids));

  Json history = reconcile_history(config["history"], request.layers, request.source_date_epoch);
  config.set("created", created_of(history, request));
  config.set("history", std::move(history));
  config.set("rootfs", std::move(rootfs));
  if (config["architecture"].as_string().empty())
    config.set("architecture", request.platform.architecture);
  if (config["os"].as_string().empty()) config.set("os", request.platform.os);
  for (const std::string_view of_base : {cache::kInlineKey, kBuildKitInlineKey})
    config.erase(of_base);
  if (!request.inline_cache.is_null()) config.set(cache::kInlineKey, request.inline_cache);

  const bool docker = request.docker_media_types;
  std::string text = config.dump();
  oci::Descriptor descriptor{
      std::string(docker ? oci::media_type::kDockerConfig : oci::media_type::kConfig),
      Digest::of(text),
      text.size(),
      std::nullopt,
      {}};
  AssembledImage image{std::move(text),
                       oci::Manifest{std::string(docker ? oci::media_type::kDockerManifest
                                                        : oci::media_type::kManifest),
                                     std::move(descriptor),
                                     {},
                                     request.annotations}};
  for (const ChainLayer& layer : request.layers) {
    oci::Descriptor blob = layer.blob.descriptor;
    blob.media_type = layer_type(blob.media_type, docker);
    image.manifest.layers.push_back(std::move(blob));
  }
  return image;
}

}  // namespace kiln
