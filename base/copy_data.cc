// copy_file_data of fs.h: the cheapest way that the two file systems allow. Holes stay holes.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/fs.h"

namespace kiln {
namespace {

constexpr size_t kBufferBytes = 256U << 10U;
constexpr uint64_t kToTheEnd = std::numeric_limits<uint64_t>::max();

// Shares the extents of the whole file where the file system can (btrfs, xfs). Only for a copy from
// the very start into an empty file: the ioctl replaces whole files.
Result<bool> try_clone(int from, int to, const struct stat& source) {
  struct stat target {};
  if (::fstat(to, &target) != 0) return fail_errno("stat", "");
  if (!S_ISREG(source.st_mode) || !S_ISREG(target.st_mode) || target.st_size != 0) return false;
  if (::lseek(from, 0, SEEK_CUR) != 0 || ::ioctl(to, FICLONE, from) != 0) return false;
  if (::lseek(from, 0, SEEK_END) < 0 || ::lseek(to, 0, SEEK_END) < 0) return fail_errno("seek", "");
  return true;
}

Result<uint64_t> copy_by_hand(int from, int to, uint64_t length) {
  std::vector<std::byte> buffer(kBufferBytes);
  uint64_t total = 0;
  while (total < length) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), length - total));
    const ssize_t n = ::read(from, buffer.data(), want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "");
    if (n == 0) break;
    KILN_TRY(write_fully(to, std::span(buffer).first(static_cast<size_t>(n)), ""));
    total += static_cast<uint64_t>(n);
  }
  return total;
}

bool in_kernel_impossible(int error) {
  return error == EXDEV || error == EINVAL || error == EOPNOTSUPP || error == ENOSYS ||
         error == EBADF || error == EPERM || error == ETXTBSY;
}

// Up to `length` bytes from both current positions.
Result<uint64_t> copy_range(int from, int to, uint64_t length) {
  uint64_t total = 0;
  while (total < length) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(length - total, 1U << 30U));
    const ssize_t n = ::copy_file_range(from, nullptr, to, nullptr, want, 0);
    if (n > 0) {
      total += static_cast<uint64_t>(n);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && !in_kernel_impossible(errno)) {
      return fail_errno("copy", "");
    } else {
      break;  // impossible, or the end; some pseudo files answer 0 at once, so read(2) has the last
              // word
    }
  }
  KILN_TRY_ASSIGN(const uint64_t rest, copy_by_hand(from, to, length - total));
  return total + rest;
}

// Data extent by data extent; `to` gets its final size last, in case the file ends with a hole.
Result<uint64_t> copy_sparse(int from, int to, off_t size) {
  const off_t from_start = ::lseek(from, 0, SEEK_CUR);
  const off_t to_start = ::lseek(to, 0, SEEK_CUR);
  if (from_start < 0 || to_start < 0) return fail_errno("seek", "");
  for (off_t at = from_start; at < size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    const off_t end = data < 0 ? -1 : ::lseek(from, data, SEEK_HOLE);
    if (end < 0 || ::lseek(from, data, SEEK_SET) < 0 ||
        ::lseek(to, to_start + data - from_start, SEEK_SET) < 0)
      return fail_errno("seek", "");
    KILN_TRY_ASSIGN(const uint64_t copied, copy_range(from, to, static_cast<uint64_t>(end - data)));
    if (copied < static_cast<uint64_t>(end - data)) break;  // it was cut meanwhile
    at = end;
  }
  const off_t to_end = to_start + size - from_start;
  if (::ftruncate(to, to_end) != 0) return fail_errno("set file size", "");
  if (::lseek(from, size, SEEK_SET) < 0 || ::lseek(to, to_end, SEEK_SET) < 0)
    return fail_errno("seek", "");
  return static_cast<uint64_t>(size - from_start);
}

bool is_sparse(const struct stat& st) {
  return S_ISREG(st.st_mode) && st.st_blocks * 512 < st.st_size;
}

}  // namespace

Result<uint64_t> copy_file_data(int from, int to) {
  struct stat source {};
  struct stat target {};
  if (::fstat(from, &source) != 0 || ::fstat(to, &target) != 0) return fail_errno("stat", "");
  KILN_TRY_ASSIGN(const bool cloned, try_clone(from, to, source));
  if (cloned) return static_cast<uint64_t>(source.st_size);
  const bool seekable = S_ISREG(target.st_mode) && target.st_size == ::lseek(to, 0, SEEK_CUR);
  if (is_sparse(source) && seekable && ::lseek(from, 0, SEEK_CUR) <= source.st_size)
    return copy_sparse(from, to, source.st_size);
  return copy_range(from, to, kToTheEnd);
}

}  // namespace kiln
