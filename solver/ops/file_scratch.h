// What a thread that goes through many files keeps from one to the next: the open directory of the
// last file, so that files of one directory cost no path walk each, and buffers.
#pragma once

#include <string>

#include "base/fs.h"
#include "snapshotter/file_hash.h"

namespace kiln {

/// One thread at a time, for one tree.
class FileScratch {
 public:
  /// O_PATH fd of `path`'s directory in `root`, which must be resolved. Borrowed until the next
  /// call.
  Result<int> directory_of(const Root& root, const RelPath& path);
  /// The file itself, for reading; never blocks on a fifo that took its place.
  Result<Fd> open(const Root& root, const RelPath& path);
  internal::HashWorker& hash_worker() { return worker_; }

 private:
  Fd directory_;
  std::string directory_path_;
  internal::HashWorker worker_;
};

}  // namespace kiln
