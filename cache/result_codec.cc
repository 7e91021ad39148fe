#include "cache/result_codec.h"

#include "cache/fields.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kMagic = "kiln.result.v1";

enum Tag : uint8_t {
  kKey = 1,
  kLocalRef = 2,
  kEmptyTree = 3,
  kCreated = 4,
  kMediaType = 10,
  kBlob = 11,
  kSize = 12,
  kDiffId = 13,
  kAnnotationName = 14,
  kAnnotationValue = 15,
  kOs = 16,
  kArchitecture = 17,
  kVariant = 18,
  kLayerTime = 19,
};

void write_layer(FieldWriter& out, const oci::LayerBlob& layer) {
  out.text(kMediaType, layer.descriptor.media_type);
  out.digest(kBlob, layer.descriptor.digest);
  out.number(kSize, layer.descriptor.size);
  out.digest(kDiffId, layer.diff_id);
  for (const auto& [name, value] : layer.descriptor.annotations) {
    out.text(kAnnotationName, name);
    out.text(kAnnotationValue, value);
  }
  if (!layer.descriptor.platform) return;
  out.text(kOs, layer.descriptor.platform->os);
  out.text(kArchitecture, layer.descriptor.platform->architecture);
  out.text(kVariant, layer.descriptor.platform->variant);
}

Result<Platform> read_platform(FieldReader& in) {
  Platform platform;
  KILN_TRY_ASSIGN(platform.os, in.text(kOs));
  KILN_TRY_ASSIGN(platform.architecture, in.text(kArchitecture));
  KILN_TRY_ASSIGN(platform.variant, in.text(kVariant));
  return platform;
}

Result<oci::LayerBlob> read_layer(FieldReader& in) {
  KILN_TRY_ASSIGN(std::string media_type, in.text(kMediaType));
  KILN_TRY_ASSIGN(const Digest blob, in.digest(kBlob));
  KILN_TRY_ASSIGN(const uint64_t size, in.number(kSize));
  KILN_TRY_ASSIGN(const Digest diff_id, in.digest(kDiffId));
  oci::LayerBlob layer{oci::Descriptor{std::move(media_type), blob, size, std::nullopt, {}},
                       diff_id};
  while (in.next_is(kAnnotationName)) {
    KILN_TRY_ASSIGN(std::string name, in.text(kAnnotationName));
    KILN_TRY_ASSIGN(layer.descriptor.annotations[name], in.text(kAnnotationValue));
  }
  if (in.next_is(kOs)) {
    KILN_TRY_ASSIGN(layer.descriptor.platform, read_platform(in));
  }
  return layer;
}

}  // namespace

std::string encode_result(const CacheKey& key, const CacheResult& result) {
  FieldWriter out(kMagic);
  out.digest(kKey, key.digest);
  out.text(kLocalRef, result.local_ref);
  out.number(kEmptyTree, result.empty_tree ? 1 : 0);
  out.number(kCreated, static_cast<uint64_t>(result.created.time_since_epoch().count()));
  for (size_t i = 0; i < result.layers.size(); ++i) {
    write_layer(out, result.layers[i]);
    if (i < result.layer_times.size())
      out.number(kLayerTime,
                 static_cast<uint64_t>(result.layer_times[i].time_since_epoch().count()));
  }
  return std::move(out).sealed();
}

Result<CacheResult> decode_result(const CacheKey& key, std::string_view bytes) {
  KILN_TRY_ASSIGN(FieldReader in, FieldReader::open(kMagic, bytes));
  KILN_TRY_ASSIGN(const Digest owner, in.digest(kKey));
  if (owner != key.digest) return fail(Code::kDataLoss, "a result is stored under another key");
  CacheResult result;
  KILN_TRY_ASSIGN(result.local_ref, in.text(kLocalRef));
  KILN_TRY_ASSIGN(const uint64_t empty_tree, in.number(kEmptyTree));
  result.empty_tree = empty_tree != 0;
  KILN_TRY_ASSIGN(const uint64_t created, in.number(kCreated));
  result.created = decltype(result.created)(
      std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(created)));
  while (in.next_is(kMediaType)) {
    KILN_TRY_ASSIGN(oci::LayerBlob layer, read_layer(in));
    result.layers.push_back(std::move(layer));
    if (!in.next_is(kLayerTime)) continue;
    KILN_TRY_ASSIGN(const uint64_t time, in.number(kLayerTime));
    result.layer_times.emplace_back(
        std::chrono::seconds(static_cast<std::chrono::seconds::rep>(time)));
  }
  if (!in.at_end() ||
      (!result.layer_times.empty() && result.layer_times.size() != result.layers.size()))
    return fail(Code::kDataLoss, "a result has more than it should");
  return result;
}

}  // namespace kiln::cache
