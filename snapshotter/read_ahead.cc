#include "snapshotter/read_ahead.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace kiln::internal {
namespace {

constexpr size_t kBlocks = 4;
constexpr size_t kBlockBytes = 1U << 20U;

// Until the buffer is full or the source ends.
Result<size_t> fill(Source& from, std::span<std::byte> buffer) {
  size_t used = 0;
  while (used < buffer.size()) {
    KILN_TRY_ASSIGN(const size_t n, from.read(buffer.subspan(used)));
    if (n == 0) break;
    used += n;
  }
  return used;
}

}  // namespace

ReadAhead::ReadAhead(Source& from) : from_(from), thread_([this] { run(); }) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ReadAhead::run() {
  for (;;) {
    Block block{spare_buffer(), 0};
    Result<size_t> size = fill(from_, block.bytes);
    if (size) block.size = *size;
    const bool last = !size || *size == 0;
    if (!hand_over(size ? Result<Block>(std::move(block)) : tl::unexpected(size.error())) || last)
      return;
  }
}

std::vector<std::byte> ReadAhead::spare_buffer() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return std::vector<std::byte>(kBlockBytes);
  auto buffer = std::move(spare_.back());
  spare_.pop_back();
  return buffer;
}

bool ReadAhead::hand_over(Result<Block> block) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || ready_.size() < kBlocks; });
  if (stopped_) return false;
  ready_.push_back(std::move(block));
  changed_.notify_all();
  return true;
}

Result<size_t> ReadAhead::read(std::span<std::byte> buffer) {
  if (!current_ || used_ == current_->size) {
    std::unique_lock lock(mutex_);
    if (current_ && current_->size == 0) return size_t{0};  // the end stays the end
    changed_.wait(lock, [this] { return !ready_.empty(); });
    if (!ready_.front()) return tl::unexpected(ready_.front().error());
    if (current_) spare_.push_back(std::move(current_->bytes));
    current_ = *std::move(ready_.front());
    used_ = 0;
    ready_.pop_front();
    changed_.notify_all();
  }
  const size_t n = std::min(buffer.size(), current_->size - used_);
  std::memcpy(buffer.data(), current_->bytes.data() + used_, n);
  used_ += n;
  return n;
}

}  // namespace kiln::internal
