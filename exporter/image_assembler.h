// Config and manifest documents of an image from the frontend's config and the finished layers.
// Pure: no store, no clock.
#pragma once

#include "base/json.h"
#include "exporter/layer_chain.h"
#include "oci/image.h"

#include <chrono>
#include <optional>
#include <span>
#include <string>

namespace kiln {

struct AssembledImage {
  std::string config_json;
  oci::Manifest manifest;  // its config descriptor describes config_json
};

struct AssembleRequest {
  std::string config_json;  // without rootfs and created; history per frontend.h
  std::span<const ChainLayer> layers;
  Platform platform;
  std::optional<int64_t> source_date_epoch;  // seconds
  std::chrono::sys_time<std::chrono::nanoseconds>
      now;  // only for an image in which nothing else has a time
  bool docker_media_types = false;
  std::map<std::string, std::string> annotations;
  Json inline_cache = {};  // for the config; null: none
};

/// Leaves out what the base's config says of caches: it is about other layers. Fills
/// rootfs.diff_ids, pairs history with layers (missing entries are added, surplus ones become
/// empty_layer), back-fills `created` from the layers, and sets the image's `created` to its last
/// history entry's, so that a cached rebuild gives the same image. kInvalidArgument: the config is
/// not a JSON object.
Result<AssembledImage> assemble_image(const AssembleRequest& request);

/// `history` reconciled with `layers` (image-spec config.md, "history").
Json reconcile_history(const Json& history, std::span<const ChainLayer> layers,
                       std::optional<int64_t> source_date_epoch);

}  // namespace kiln
