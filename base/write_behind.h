// A file's bytes on their way to the disk while it is still being written, so that there is little
// to wait for in the fdatasync at its end. A hint: it changes nothing about durability.
#pragma once

#include <fcntl.h>

#include <cstddef>

namespace kiln {

/// For a file that one thread writes from `start` on.
class WriteBehind {
 public:
  explicit WriteBehind(off_t start = 0) : written_(start), started_(start) {}
  /// After each write.
  void wrote(int fd, size_t bytes) {
    written_ += static_cast<off_t>(bytes);
    if (written_ - started_ < kPiece) return;
    // Not waited for. What cannot (a pipe, tmpfs) is written at its end as ever.
    (void)::sync_file_range(fd, started_, written_ - started_, SYNC_FILE_RANGE_WRITE);
    started_ = written_;
  }

 private:
  static constexpr off_t kPiece = off_t{8} << 20U;
  off_t written_, started_;
};

}  // namespace kiln
