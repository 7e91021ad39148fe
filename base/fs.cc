#include "base/fs.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/dir_reader.h"
#include "base/io.h"

namespace kiln {
namespace {

// One chunk of every read loop: large enough for throughput, small enough for a stack's neighbour.
constexpr size_t kReadChunkBytes = 64U << 10U;

Result<uint8_t> type_of(int dir_fd, const std::string& name) {
  struct stat st {};
  if (::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("stat", name);
  return static_cast<uint8_t>(IFTODT(st.st_mode));
}

// Makes the one directory `path`, whose parent exists. An existing directory (or a link to one) is
// success.
Status make_dir(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  const int error = errno;
  struct stat st {};
  if (error == EEXIST && ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return {};
  return tl::unexpected(Error::from_errno(error, "make directory", path));
}

}  // namespace

Result<std::vector<DirEntry>> list_dir(int dir_fd) {
  const Fd own(::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own.valid()) return fail_errno("open directory", "");
  std::vector<DirEntry> entries;
  internal::DirReader reader(own.get());
  for (;;) {
    KILN_TRY_ASSIGN(const bool more, reader.fill());
    if (!more) break;
    reader.for_each([&](const char* name, uint8_t type) { entries.push_back({name, type}); });
  }
  for (DirEntry& entry : entries)
    if (entry.type == DT_UNKNOWN) {
      KILN_TRY_ASSIGN(entry.type, type_of(dir_fd, entry.name));
    }
  std::sort(entries.begin(), entries.end(),
            [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
  return entries;
}

Result<std::string> internal::read_all_fd(int fd, uint64_t limit_bytes, std::string_view name) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail_errno("stat", name);
  const auto too_large = [&] {
    return fail(Code::kResourceExhausted, "\"" + std::string(name) + "\" is larger than " +
                                              std::to_string(limit_bytes) + " bytes");
  };
  if (static_cast<uint64_t>(st.st_size) > limit_bytes) return too_large();
  std::string data;
  size_t used = 0;
  data.resize(static_cast<size_t>(st.st_size) + 1);  // one more byte: end of file shows in one read
  for (;;) {
    if (used == data.size()) data.resize(used + kReadChunkBytes);  // it grew, or it is of /proc
    const ssize_t n = ::read(fd, data.data() + used, data.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", name);
    if (n == 0) break;
    used += static_cast<size_t>(n);
    if (used > limit_bytes) return too_large();
  }
  data.resize(used);
  return data;
}

Result<std::string> read_file(const std::string& path, uint64_t limit_bytes) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open", path);
  return internal::read_all_fd(fd.get(), limit_bytes, path);
}

Status write_file(const std::string& path, std::string_view data) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.valid()) return fail_errno("create", path);
  KILN_TRY(write_fully(fd.get(), as_bytes(data), path));
  return fd.close();
}

Status make_dirs(const std::string& path, mode_t mode) {
  if (path.empty()) return fail(Code::kInvalidArgument, "cannot make a directory without a name");
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == EEXIST) return make_dir(path, mode);
  // From the left: whoever makes the same path at the same time is no obstacle.
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1))
    KILN_TRY(make_dir(path.substr(0, slash), mode));
  return make_dir(path, mode);
}

Result<bool> exists(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail_errno("stat", path);
}

Status fsync_dir(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open directory", path);
  if (::fsync(fd.get()) != 0) return fail_errno("sync directory", path);
  return {};
}

Status write_fully(int fd, std::span<const std::byte> data, std::string_view name) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n >= 0) {
      data = data.subspan(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {  // a terminal or pipe that somebody made non-blocking
      pollfd writable{fd, POLLOUT, 0};
      if (::poll(&writable, 1, -1) < 0 && errno != EINTR) return fail_errno("write", name);
    } else if (errno != EINTR) {
      return fail_errno("write", name);
    }
  }
  return {};
}

Result<std::string> xattr_of(int fd, const char* name) {
  std::string value(256, '\0');
  for (;;) {
    const ssize_t n = ::fgetxattr(fd, name, value.data(), value.size());
    if (n >= 0) {
      value.resize(static_cast<size_t>(n));
      return value;
    }
    if (errno == ENODATA || errno == ENOTSUP) return std::string();
    if (errno != ERANGE || value.size() >= XATTR_SIZE_MAX)
      return fail_errno("read attribute", name);
    value.resize(XATTR_SIZE_MAX);
  }
}

}  // namespace kiln
