#include "snapshotter/layer_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

namespace kiln::internal {
namespace {

constexpr size_t kSmallFileBytes = 128U << 10U;
constexpr size_t kBatchBytes = 256U << 10U;
constexpr size_t kBatchEntries = 128;
constexpr size_t kMaxBatches = 8;
constexpr size_t kBufferBytes = 512U << 10U;

Error changed_while_read(const oci::TarEntry& entry) {
  return {Code::kFailedPrecondition, "\"" + entry.path.str() + "\" changed while it was packed"};
}

// False: the file ends early.
Result<bool> read_exactly(int fd, std::span<std::byte> into, const RelPath& path) {
  while (!into.empty()) {
    const ssize_t n = ::read(fd, into.data(), into.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", path.str());
    if (n == 0) return false;
    into = into.subspan(static_cast<size_t>(n));
  }
  return true;
}

Result<Fd> open_file(const Root& tree, oci::TarEntry& entry) {
  KILN_TRY_ASSIGN(Fd fd, tree.open(entry.path, O_RDONLY, 0, FollowLast::kNo));
  KILN_TRY_ASSIGN(std::string capability, xattr_of(fd.get(), "security.capability"));
  if (!capability.empty()) entry.xattrs.emplace("security.capability", std::move(capability));
  return fd;
}

}  // namespace

struct LayerStream::Batch {
  enum State : int { kFilling, kWaiting, kClaimed, kDone };
  struct Item {
    oci::TarEntry entry;
    bool is_read;   // a file of the tree
    size_t offset;  // of a small file's bytes in `data`
    bool is_small_file() const { return is_read && entry.size <= kSmallFileBytes; }
  };

  std::atomic<int> state = kFilling;
  // Those below belong to the filling thread, and while the batch is claimed to its claimer.
  std::vector<Item> items;
  size_t data_bytes = 0;
  // For all small files that fit; never cleared, which would cost a fifth of the time.
  std::unique_ptr<std::byte[]> data =
      std::make_unique_for_overwrite<std::byte[]>(kBatchBytes + kSmallFileBytes);
  Status status;

  std::span<std::byte> bytes_of(const Item& item) {
    return {data.get() + item.offset, item.entry.size};
  }

  bool claim() {
    int expected = kWaiting;
    return state.compare_exchange_strong(expected, kClaimed);
  }
  void read(const Root& tree) {
    status = read_all(tree);
    state.store(kDone);
    state.notify_all();
  }
  Status read_all(const Root& tree) {
    for (Item& item : items) {
      if (!item.is_small_file()) continue;
      KILN_TRY_ASSIGN(const Fd fd, open_file(tree, item.entry));
      KILN_TRY_ASSIGN(const bool complete, read_exactly(fd.get(), bytes_of(item), item.entry.path));
      if (!complete) return tl::unexpected(changed_while_read(item.entry));
    }
    return {};
  }
};

LayerStream::LayerStream(const Root& tree, Sink& tar, std::stop_token stop)
    : tree_(tree), writer_(tar), stop_(std::move(stop)), filling_(std::make_shared<Batch>()) {}

LayerStream::~LayerStream() {
  // Batches that nobody has begun are not read for nothing.
  for (const auto& batch : pending_) batch->claim();
  reads_.wait();
}

Status LayerStream::add(oci::TarEntry entry, Content content) {
  const bool is_read = content == Content::kFromTree && entry.type == oci::EntryType::kFile;
  Batch::Item item{std::move(entry), is_read, filling_->data_bytes};
  if (item.is_small_file()) filling_->data_bytes += item.entry.size;
  filling_->items.push_back(std::move(item));
  if (filling_->data_bytes < kBatchBytes && filling_->items.size() < kBatchEntries) return {};
  return dispatch();
}

Status LayerStream::dispatch() {
  auto batch = std::exchange(filling_, fresh_batch());
  batch->state = Batch::kWaiting;
  pending_.push_back(batch);
  reads_.run([batch, this] {
    if (batch->claim()) batch->read(tree_);
  });
  while (pending_.size() > kMaxBatches) KILN_TRY(write_oldest());
  return {};
}

std::shared_ptr<LayerStream::Batch> LayerStream::fresh_batch() {
  if (idle_.empty()) return std::make_shared<Batch>();
  // A task of its earlier use that has not run yet may claim it when it waits again, and reads it
  // then as well as any other.
  auto batch = std::move(idle_.back());
  idle_.pop_back();
  batch->state = Batch::kFilling;
  batch->items.clear();
  batch->data_bytes = 0;
  return batch;
}

Status LayerStream::write_oldest() {
  if (stop_.stop_requested()) return fail(Code::kCancelled, "packing was cancelled");
  auto batch = std::move(pending_.front());
  pending_.pop_front();
  if (batch->claim()) batch->read(tree_);
  batch->state.wait(Batch::kClaimed);
  KILN_TRY(batch->status);
  KILN_TRY(write_batch(*batch));
  idle_.push_back(std::move(batch));
  return {};
}

Status LayerStream::write_batch(Batch& batch) {
  for (Batch::Item& item : batch.items) {
    if (item.is_read && !item.is_small_file()) {
      KILN_TRY(write_large(item.entry));
      continue;
    }
    KILN_TRY(writer_.add(item.entry));
    if (item.is_small_file() && item.entry.size > 0) KILN_TRY(writer_.data(batch.bytes_of(item)));
  }
  return {};
}

Status LayerStream::write_large(oci::TarEntry& entry) {
  KILN_TRY_ASSIGN(const Fd fd, open_file(tree_, entry));
  KILN_TRY(writer_.add(entry));
  buffer_.resize(kBufferBytes);
  for (uint64_t left = entry.size; left > 0;) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "packing was cancelled");
    const auto chunk = std::span(buffer_).first(std::min<uint64_t>(left, kBufferBytes));
    KILN_TRY_ASSIGN(const bool complete, read_exactly(fd.get(), chunk, entry.path));
    if (!complete) return tl::unexpected(changed_while_read(entry));
    KILN_TRY(writer_.data(chunk));
    left -= chunk.size();
  }
  return {};
}

Status LayerStream::finish() {
  if (!filling_->items.empty()) KILN_TRY(dispatch());
  while (!pending_.empty()) KILN_TRY(write_oldest());
  return writer_.finish();
}

}  // namespace kiln::internal
