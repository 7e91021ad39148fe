// Writes the entries of a layer tar in the order they are given, reading small files ahead in
// parallel. What goes in and in which order is the differ's business.
#pragma once

#include <tbb/task_group.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <stop_token>
#include <vector>

#include "base/fs.h"
#include "base/io.h"
#include "oci/tar.h"

namespace kiln::internal {

/// Where a regular file's data and security.capability come from.
enum class Content : uint8_t { kNone, kFromTree };

/// Entries are collected into batches; a batch is read on oneTBB while earlier ones are written. A
/// batch that no worker has begun is read by the writing thread, so that this makes progress even
/// when all workers wait for this thread's sink. Each file is opened and read once. Memory: at most
/// kMaxBatches * (kBatchBytes + kSmallFileBytes), about 3 MiB.
class LayerStream {
 public:
  /// `tree` and `tar` must outlive this. Files are read from `tree` at their entry's path.
  LayerStream(const Root& tree, Sink& tar, std::stop_token stop);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  /// kFailedPrecondition, from here or a later call: a file's size is not that of its entry any
  /// more.
  Status add(oci::TarEntry entry, Content content = Content::kFromTree);
  Status finish();

 private:
  struct Batch;
  Status dispatch();
  std::shared_ptr<Batch> fresh_batch();
  Status write_oldest();
  Status write_batch(Batch& batch);
  Status write_large(oci::TarEntry& entry);

  const Root& tree_;
  oci::TarWriter writer_;
  std::stop_token stop_;
  std::shared_ptr<Batch> filling_;
  std::deque<std::shared_ptr<Batch>> pending_;  // oldest first
  std::vector<std::shared_ptr<Batch>> idle_;    // written, for use again
  std::vector<std::byte> buffer_;               // of large files
  tbb::task_group reads_;
};

}  // namespace kiln::internal
