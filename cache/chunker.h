// Cuts a stream where its content says so (content-defined chunking): a change moves the cuts near
// it and no others, so that most chunks of two versions of a stream are the same. The rule is part
// of a format (cache/FORMAT.md, "Cache mounts").
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/io.h"

namespace kiln::cache {

inline constexpr size_t kMinChunk = 256U << 10U;
inline constexpr size_t kMeanChunk = 1U << 20U;  // about
inline constexpr size_t kMaxChunk = 4U << 20U;

class Chunker : public Sink {
 public:
  using OnChunk = std::function<Status(std::span<const std::byte> chunk)>;
  explicit Chunker(OnChunk on_chunk) : on_chunk_(std::move(on_chunk)) {
    pending_.reserve(kMaxChunk);
  }
  /// An error of OnChunk's ends it.
  Status write(std::span<const std::byte> data) override;
  /// The rest is a chunk, unless it is empty.
  Status finish();

 private:
  Status cut();

  const OnChunk on_chunk_;
  std::vector<std::byte> pending_;  // since the last cut
  uint64_t hash_ = 0;               // of the last 64 bytes
};

}  // namespace kiln::cache
