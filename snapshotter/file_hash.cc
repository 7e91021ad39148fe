#include "snapshotter/file_hash.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace kiln {
namespace internal {
namespace {

constexpr size_t kReadBytes = 256U << 10U;
constexpr int kAttempts = 3;

bool is_counted(std::string_view name) {
  return name == "security.capability" ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

bool same_state(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

Result<Digest> hash_bytes(int fd, const RelPath& path, HashWorker& worker) {
  worker.buffer.resize(kReadBytes);
  for (;;) {
    const ssize_t n = ::read(fd, worker.buffer.data(), worker.buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error error = Error::from_errno(errno, "read", path.absolute());
      (void)worker.hasher.finish();  // begins anew for the next file
      return tl::unexpected(std::move(error));
    }
    const auto size = static_cast<size_t>(n);
    worker.hasher.update(std::span(worker.buffer).first(size));
    // A regular file reads short only at its end; the stat that follows shows if that has moved.
    if (size < worker.buffer.size()) return worker.hasher.finish();
  }
}

// Five system calls a file: they are most of what a small one costs.
Result<HashedFile> read_once(int directory_fd, const RelPath& path, HashWorker& worker) {
  // A fifo that took the file's place meanwhile must not block us.
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const Fd fd(::openat(directory_fd, std::string(path.name()).c_str(), kFlags));
  if (!fd.valid()) return fail_errno("open", path.absolute());
  KILN_TRY_ASSIGN(const Digest data, hash_bytes(fd.get(), path, worker));
  KILN_TRY_ASSIGN(Xattrs xattrs, counted_xattrs(fd.get(), path.absolute()));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat", path.absolute());
  if (!S_ISREG(st.st_mode))
    return fail(Code::kInvalidArgument, "\"" + path.absolute() + "\" is not a regular file");
  return HashedFile{data, st, std::move(xattrs)};
}

}  // namespace

Result<Xattrs> counted_xattrs(int fd, std::string_view name) {
  Xattrs found;
  char small[1024];
  ssize_t size = ::flistxattr(fd, small, sizeof(small));
  if (size == 0 || (size < 0 && errno == EOPNOTSUPP)) return found;
  std::string names(small, size > 0 ? static_cast<size_t>(size) : 0);
  if (size < 0) {
    if (errno != ERANGE) return fail_errno("list xattrs of", name);
    names.resize(size_t{64} << 10U);  // XATTR_LIST_MAX
    size = ::flistxattr(fd, names.data(), names.size());
    if (size < 0) return fail_errno("list xattrs of", name);
    names.resize(static_cast<size_t>(size));
  }
  for (size_t at = 0; at < names.size();) {
    const std::string key = names.c_str() + at;
    at += key.size() + 1;
    if (!is_counted(key)) continue;
    KILN_TRY_ASSIGN(std::string value, xattr_of(fd, key.c_str()));
    found.emplace_back(key, std::move(value));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<HashedFile> read_and_hash(int directory_fd, const struct stat& before, const RelPath& path,
                                 StatCache* cache, HashWorker& worker) {
  struct stat expected = before;
  for (int i = 0; i < kAttempts; ++i) {
    KILN_TRY_ASSIGN(HashedFile file, read_once(directory_fd, path, worker));
    if (same_state(expected, file.st)) {
      if (cache != nullptr && file.xattrs.empty()) cache->insert(file.st, file.data);
      return file;
    }
    expected = file.st;
  }
  return tl::unexpected(Error(Code::kFailedPrecondition,
                              "\"" + path.absolute() + "\" keeps changing while it is read")
                            .hint("wait until whatever writes it is done, or add it to the ignore "
                                  "file"));
}

}  // namespace internal

Result<FileDigest> hash_file(const Root& root, const RelPath& path, StatCache* cache) {
  KILN_TRY_ASSIGN(const auto st, root.stat(path, FollowLast::kNo));
  if (!st) return fail(Code::kNotFound, "\"" + path.absolute() + "\" does not exist");
  if (!S_ISREG(st->st_mode))
    return fail(Code::kInvalidArgument, "\"" + path.absolute() + "\" is not a regular file");
  if (cache != nullptr) {
    if (const auto known = cache->find(*st)) return FileDigest{*known, *st};
  }
  KILN_TRY_ASSIGN(const Fd parent, root.open_parent(path));
  internal::HashWorker worker;
  KILN_TRY_ASSIGN(internal::HashedFile file,
                  internal::read_and_hash(parent.get(), *st, path, cache, worker));
  return FileDigest{file.data, file.st};
}

}  // namespace kiln
