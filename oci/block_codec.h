// Compressing a stream in blocks: every block is compressed by itself, and the pieces, joined in
// order between begin() and end(), are one valid gzip member (flushed deflate blocks) or a row of
// zstd frames. Bytes depend on the input and the options only, never on which codec object did
// which block.
#pragma once

#include "base/result.h"
#include "oci/compression.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace kiln::oci {

/// Changing any of these changes every layer digest.
struct BlockShape {
  size_t input_bytes = 0;   // of every block but the last
  size_t output_bytes = 0;  // enough for the worst case
  size_t in_flight = 0;     // blocks a writer holds at most: in_flight * (input + output) <= 16 MiB
};
BlockShape block_shape(Compression type);

/// kInvalidArgument: the level is out of range.
Status check_options(const CompressionOptions& options);

struct CompressedBlock {
  size_t bytes = 0;
  uint32_t crc = 0;  // of the input; gzip only
};

/// One thread at a time. Not for kUncompressed.
class BlockCodec {
 public:
  static std::unique_ptr<BlockCodec> create(const CompressionOptions& options);
  virtual ~BlockCodec() = default;
  /// `out` has BlockShape::output_bytes.
  virtual Result<CompressedBlock> compress(std::span<const std::byte> in,
                                           std::span<std::byte> out) = 0;
};

/// What stands before and after the blocks.
class StreamFrame {
 public:
  explicit StreamFrame(Compression type) : type_(type) {}
  std::string begin() const;
  void add(size_t input_bytes, uint32_t crc);  // in order
  std::string end() const;

 private:
  Compression type_;
  uint32_t crc_ = 0;
  uint64_t input_bytes_ = 0;
};

}  // namespace kiln::oci
