// A source that is read on a thread of its own, a few blocks ahead: decompression and hashing of a
// layer then run beside the creation of its files.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/io.h"

namespace kiln::internal {

/// Memory: kBlocks * kBlockBytes, 4 MiB. The destructor stops the thread, which ends within the
/// read it is in.
class ReadAhead : public Source {
 public:
  /// Nobody else may read `from` while this lives.
  explicit ReadAhead(Source& from);
  ~ReadAhead() override;
  Result<size_t> read(std::span<std::byte> buffer) override;

 private:
  struct Block {
    std::vector<std::byte> bytes;
    size_t size = 0;
  };
  void run();
  // False: the block is the last, or the reader is gone.
  bool hand_over(Result<Block> block);
  std::vector<std::byte> spare_buffer();

  Source& from_;
  std::mutex mutex_;  // protects the next four
  std::condition_variable changed_;
  std::deque<Result<Block>> ready_;  // ends with an empty block or an error
  std::vector<std::vector<std::byte>> spare_;
  bool stopped_ = false;
  // Reader only: what is left of the block that it is at.
  std::optional<Block> current_;
  size_t used_ = 0;
  std::thread thread_;
};

}  // namespace kiln::internal
