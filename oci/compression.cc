#include "oci/compression.h"

#include <array>

#include "base/strings.h"

namespace kiln::oci {

Result<Compression> parse_compression(std::string_view name) {
  if (name == "gzip") return Compression::kGzip;
  if (name == "zstd") return Compression::kZstd;
  if (name == "uncompressed") return Compression::kUncompressed;
  if (name == "estargz") {
    return fail(Code::kUnimplemented, "compression \"estargz\" is not supported");
  }
  static const std::array<std::string, 3> kNames = {"gzip", "zstd", "uncompressed"};
  return fail(Code::kInvalidArgument,
              "unknown compression \"" + std::string(name) + "\"" + did_you_mean(name, kNames));
}

std::string_view layer_media_type(Compression type) {
  switch (type) {
    case Compression::kUncompressed:
      return media_type::kLayerTar;
    case Compression::kGzip:
      return media_type::kLayerGzip;
    case Compression::kZstd:
      return media_type::kLayerZstd;
  }
  return {};
}

Detected detect_compression(std::span<const std::byte> head) {
  const std::string_view text = as_text(head);
  if (text.starts_with("\x1f\x8b")) return Detected::kGzip;
  if (text.starts_with("BZh")) return Detected::kBzip2;
  if (text.starts_with(std::string_view("\xfd"
                                        "7zXZ\0",
                                        6)))
    return Detected::kXz;
  if (text.starts_with("\x28\xb5\x2f\xfd")) return Detected::kZstd;
  // A zstd stream may open with a frame to skip: magic 0x184D2A5? (RFC 8878, 3.1.2).
  const bool skippable = text.size() >= 4 &&
                         (static_cast<unsigned char>(text[0]) & 0xf0U) == 0x50 &&
                         text.substr(1, 3) == "\x2a\x4d\x18";
  return skippable ? Detected::kZstd : Detected::kNone;
}

Result<LayerBlob> recompress(ContentStore& store, const Lease& lease, const LayerBlob& layer,
                             CompressionOptions options, std::stop_token stop) {
  KILN_TRY_ASSIGN(auto blob, store.open(layer.descriptor.digest));
  KILN_TRY_ASSIGN(const auto tar, decompress(std::move(blob)));
  KILN_TRY_ASSIGN(const auto writer, LayerWriter::create(store, lease, options, std::move(stop)));
  if (const auto copied = copy_stream(*tar, *writer); !copied)
    return tl::unexpected(verified_error(store, layer.descriptor.digest, copied.error()));
  KILN_TRY_ASSIGN(LayerBlob result, writer->finish());
  if (result.diff_id != layer.diff_id) {
    return fail(Code::kDataLoss, "layer " + layer.descriptor.digest.to_string() + " holds " +
                                     result.diff_id.to_string() + ", not " +
                                     layer.diff_id.to_string());
  }
  result.descriptor.annotations = layer.descriptor.annotations;
  return result;
}

}  // namespace kiln::oci
