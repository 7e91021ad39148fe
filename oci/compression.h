// Layers in one pass: tar bytes in, blob in the content store out, with the tar's digest (diff ID),
// the blob's digest and the compressed form made on the way. Input is cut into blocks of fixed size
// that are compressed on oneTBB and joined in order, so the bytes do not depend on the number of
// threads. Memory: at most 16 MiB a writer.
#pragma once

#include "oci/content_store.h"

#include <cstdint>
#include <memory>
#include <stop_token>

namespace kiln::oci {

enum class Compression : uint8_t { kUncompressed, kGzip, kZstd };
struct CompressionOptions {
  Compression type = Compression::kGzip;
  int level =
      -1;  // -1: the type's default. gzip 0-9, zstd 0-22 (0: default); kInvalidArgument beyond
  bool operator==(const CompressionOptions&) const = default;
};
Result<Compression> parse_compression(
    std::string_view name);  // "gzip" "zstd" "uncompressed"; did-you-mean
std::string_view layer_media_type(Compression type);

class LayerWriter : public Sink {
 public:
  static Result<std::unique_ptr<LayerWriter>> create(ContentStore& store, const Lease& lease,
                                                     CompressionOptions options,
                                                     std::stop_token stop);
  /// Durable as BlobWriter::commit. At most once; destroying an unfinished writer leaves nothing.
  virtual Result<LayerBlob> finish() = 0;
};

/// Detects none, gzip, bzip2, xz and zstd by content (magic numbers) and decompresses as a stream;
/// bounded decoder windows (SAFETY.md 1.2). The first read of garbage is kDataLoss.
Result<std::unique_ptr<Source>> decompress(std::unique_ptr<Source> from);
enum class Detected : uint8_t { kNone, kGzip, kBzip2, kXz, kZstd };
Detected detect_compression(std::span<const std::byte> head);  // 6 bytes are enough

/// The same layer with another compression; diff ID stays. Verified while read.
Result<LayerBlob> recompress(ContentStore& store, const Lease& lease, const LayerBlob& layer,
                             CompressionOptions options, std::stop_token stop);

}  // namespace kiln::oci
