// Root of fs.h: every step inside it is one openat2(2), so nothing is checked as a string and then
// used again.
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/dir_reader.h"
#include "base/fs.h"
#include "base/openat2.h"

namespace kiln {
namespace {

constexpr uint64_t kInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
constexpr int kMaxLinks = 255;

const char* c_path(const RelPath& path) {
  return path.is_root() ? "." : path.str().c_str();
}

bool is_absent(int error) {
  return error == ENOENT || error == ENOTDIR;
}

Result<std::string> link_target(int link_fd, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t n = ::readlinkat(link_fd, "", target.data(), target.size());
  // readlinkat("") on what is not a link answers ENOENT (EINVAL before Linux 5.x): neither says
  // what is wrong.
  if (n < 0 && (errno == ENOENT || errno == EINVAL))
    return fail(Code::kInvalidArgument, "\"" + name + "\" is not a symbolic link");
  if (n < 0) return fail_errno("read link", name);
  target.resize(static_cast<size_t>(n));
  return target;
}

// The components still to be walked, the next one last.
using Pending = std::vector<std::string>;

void push_components(Pending& pending, std::string_view path) {
  const size_t base = pending.size();
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (end > 0) pending.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  std::reverse(pending.begin() + static_cast<ptrdiff_t>(base), pending.end());
}

}  // namespace

Result<Root> Root::open(const std::string& directory) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open directory", directory);
  return Root(std::move(fd));
}

Result<Fd> Root::open(const RelPath& path, int flags, mode_t mode, FollowLast follow) const {
  if (follow == FollowLast::kNo) flags |= O_NOFOLLOW;
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  Fd fd = internal::open_at2(fd_.get(), c_path(path), flags, creates ? mode : 0, kInRoot);
  if (!fd.valid()) return fail_errno("open", path.absolute());
  return fd;
}

Result<std::optional<struct stat>> Root::stat(const RelPath& path, FollowLast follow) const {
  struct stat st {};
  // One component that is not followed cannot leave the root: no openat2 is needed, which makes
  // walks faster.
  if (follow == FollowLast::kNo && !path.is_root() && path.str().find('/') == std::string::npos) {
    if (::fstatat(fd_.get(), path.str().c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return st;
    if (is_absent(errno)) return std::nullopt;
    return fail_errno("stat", path.absolute());
  }
  const int flags = O_PATH | (follow == FollowLast::kNo ? O_NOFOLLOW : 0);
  const Fd fd = internal::open_at2(fd_.get(), c_path(path), flags, 0, kInRoot);
  if (!fd.valid() && is_absent(errno)) return std::nullopt;
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return fail_errno("stat", path.absolute());
  return st;
}

Result<std::string> Root::read_link(const RelPath& path) const {
  KILN_TRY_ASSIGN(const Fd link, open(path, O_PATH, 0, FollowLast::kNo));
  return link_target(link.get(), path.absolute());
}

Result<RelPath> Root::resolve(const RelPath& path, FollowLast follow) const {
  const int flags = O_PATH | (follow == FollowLast::kNo ? O_NOFOLLOW : 0);
  // Most paths hold no link: one system call tells.
  if (internal::open_at2(fd_.get(), c_path(path), flags, 0, kInRoot | RESOLVE_NO_SYMLINKS).valid())
    return path;
  Pending pending;
  push_components(pending, path.str());
  RelPath at;  // no component of it is a link, so ".." is lexical
  for (int links = 0; !pending.empty();) {
    const std::string name = std::move(pending.back());
    pending.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      at = at.parent();
      continue;
    }
    RelPath next = at.child(name);
    KILN_TRY_ASSIGN(const auto st, stat(next, FollowLast::kNo));
    const bool followed = follow == FollowLast::kYes || !pending.empty();
    if (!st || !S_ISLNK(st->st_mode) || !followed) {
      at = std::move(next);
      continue;
    }
    if (++links > kMaxLinks)
      return fail(Code::kInvalidArgument, "\"" + path.absolute() + "\": too many symbolic links");
    KILN_TRY_ASSIGN(const std::string target, read_link(next));
    if (target.starts_with('/')) at = RelPath();
    push_components(pending, target);
  }
  return at;
}

Result<Fd> Root::open_parent(const RelPath& path) const {
  return open(path.parent(), O_PATH | O_DIRECTORY);
}

Result<std::string> Root::read_file(const RelPath& path, uint64_t limit_bytes) const {
  // Devices and fifos are never opened for reading (SAFETY.md 1.5): the type is known from an
  // O_PATH fd, and that very file is opened anew through /proc.
  KILN_TRY_ASSIGN(const Fd handle, open(path, O_PATH));
  struct stat st {};
  if (::fstat(handle.get(), &st) != 0) return fail_errno("stat", path.absolute());
  if (!S_ISREG(st.st_mode))
    return fail(Code::kInvalidArgument, "\"" + path.absolute() + "\" is not a regular file");
  const std::string by_fd = "/proc/self/fd/" + std::to_string(handle.get());
  const Fd fd(::open(by_fd.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open", path.absolute());
  return internal::read_all_fd(fd.get(), limit_bytes, path.absolute());
}

Result<Root> Root::sub_root(const RelPath& directory) const {
  KILN_TRY_ASSIGN(Fd fd, open(directory, O_RDONLY | O_DIRECTORY));
  return Root(std::move(fd));
}

}  // namespace kiln
