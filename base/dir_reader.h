// What the file-system units share and nobody else needs: raw directory reading and whole-file
// reading.
#pragma once

#include <dirent.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace kiln::internal {

/// getdents64(2) on a borrowed directory fd from its current offset: no allocation, no second copy
/// of the names.
class DirReader {
 public:
  explicit DirReader(int dir_fd) : dir_fd_(dir_fd) {}

  /// Reads the next batch. False at the end of the directory.
  Result<bool> fill() {
    const ssize_t n = ::getdents64(dir_fd_, buffer_.data(), buffer_.size());
    // A directory that was removed while it is open answers ENOENT: it is empty.
    if (n < 0 && errno != ENOENT) return fail_errno("read directory", "");
    used_ = n < 0 ? 0 : static_cast<size_t>(n);
    return used_ > 0;
  }

  /// visit(const char* name, uint8_t type) for each entry of the batch but "." and "..".
  template <class Visit>
  void for_each(Visit visit) const {
    for (size_t at = 0; at < used_;) {
      // The kernel aligns each record for dirent64, and buffer_ is.
      const auto* entry = static_cast<const dirent64*>(static_cast<const void*>(&buffer_[at]));
      at += entry->d_reclen;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") visit(entry->d_name, entry->d_type);
    }
  }

 private:
  int dir_fd_;
  size_t used_ = 0;
  alignas(dirent64) std::array<char, size_t{32} << 10U> buffer_;
};

/// Everything from the fd's position. kResourceExhausted above `limit_bytes`. `name` is for errors.
Result<std::string> read_all_fd(int fd, uint64_t limit_bytes, std::string_view name);

}  // namespace kiln::internal
