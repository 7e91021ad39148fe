#include "snapshotter/copy_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <utility>
#include <vector>

namespace kiln {
namespace {

std::array<struct timespec, 2> times_of(const struct stat& st) {
  return {st.st_mtim, st.st_mtim};
}

bool is_overlay_xattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

Result<std::vector<std::string>> xattr_names(int fd, const RelPath& path) {
  std::string buffer;
  ssize_t size = 0;
  do {
    const ssize_t needed = ::flistxattr(fd, nullptr, 0);
    buffer.resize(needed > 0 ? static_cast<size_t>(needed) : 0);
    size = needed > 0 ? ::flistxattr(fd, buffer.data(), buffer.size()) : needed;
  } while (size < 0 && errno == ERANGE);  // one was added in between
  std::vector<std::string> names;
  if (size < 0 && errno == EOPNOTSUPP) return names;
  if (size < 0) return fail_errno("list xattrs of", path.str());
  for (size_t at = 0; at < static_cast<size_t>(size); at += names.back().size() + 1)
    names.emplace_back(buffer.c_str() + at);
  return names;
}

Status copy_xattrs(int from, int to, const RelPath& path) {
  KILN_TRY_ASSIGN(const auto names, xattr_names(from, path));
  for (const std::string& name : names) {
    if (is_overlay_xattr(name)) continue;
    KILN_TRY_ASSIGN(const std::string value, xattr_of(from, name.c_str()));
    if (::fsetxattr(to, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    // Labels of a security module, or of a file system with fewer namespaces. Without its
    // capabilities a program would be another one.
    const bool may_be_lost = errno == EOPNOTSUPP || errno == EPERM;
    if (name == "security.capability" || !may_be_lost)
      return fail_errno("set " + name + " of", path.str());
  }
  return {};
}

class TreeCopier {
 public:
  TreeCopier(const Root& from, const Root& to, std::stop_token stop)
      : from_(from), to_(to), stop_(std::move(stop)) {}

  Status copy_directory(const RelPath& path) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "copying was cancelled");
    std::vector<RelPath> directories;
    KILN_TRY(copy_entries(path, directories));
    for (const RelPath& directory : directories) KILN_TRY(copy_directory(directory));
    // Last: entries made inside change its times.
    KILN_TRY_ASSIGN(const Fd from, from_.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const Fd to, to_.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    return copy_metadata(from.get(), to.get(), path);
  }

 private:
  // No fd of this directory stays open while subdirectories are copied.
  Status copy_entries(const RelPath& path, std::vector<RelPath>& directories) {
    KILN_TRY_ASSIGN(const Fd from, from_.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const Fd to, to_.open(path, O_PATH | O_DIRECTORY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const auto entries, list_dir(from.get()));
    for (const DirEntry& entry : entries) {
      const RelPath child = path.child(entry.name);
      KILN_TRY_ASSIGN(const bool is_directory, copy_entry(from.get(), to.get(), child));
      if (is_directory) directories.push_back(child);
    }
    return {};
  }

  // True for a directory, which is made but not filled.
  Result<bool> copy_entry(int from, int to, const RelPath& path) {
    const std::string name(path.name());
    struct stat st {};
    if (::fstatat(from, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("stat", path.str());
    if (S_ISDIR(st.st_mode)) {
      if (::mkdirat(to, name.c_str(), S_IRWXU) != 0)
        return fail_errno("make directory", path.str());
      return true;
    }
    if (st.st_nlink > 1) {
      const auto inode = std::make_pair(st.st_dev, st.st_ino);
      const auto [first, is_first] = first_paths_.try_emplace(inode, path);
      if (!is_first) {
        KILN_TRY(link(first->second, to, path));
        return false;
      }
    }
    if (S_ISREG(st.st_mode)) {
      KILN_TRY(copy_file(from, to, path));
    } else {
      KILN_TRY(copy_node(from, to, path, st));
    }
    return false;
  }

  Status link(const RelPath& first, int to, const RelPath& path) const {
    KILN_TRY_ASSIGN(const Fd directory, to_.open_parent(first));
    const std::string target(first.name());
    const std::string name(path.name());
    if (::linkat(directory.get(), target.c_str(), to, name.c_str(), 0) != 0)
      return fail_errno("link", path.str());
    return {};
  }

  static Status copy_file(int from, int to, const RelPath& path) {
    const std::string name(path.name());
    const Fd source(::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!source.valid()) return fail_errno("open", path.str());
    const Fd copy(::openat(to, name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (!copy.valid()) return fail_errno("create", path.str());
    if (auto copied = copy_file_data(source.get(), copy.get()); !copied)
      return tl::unexpected(copied.error().wrap("copy \"" + path.str() + "\""));
    return copy_metadata(source.get(), copy.get(), path);
  }

  // Symlinks, devices, fifos and sockets.
  static Status copy_node(int from, int to, const RelPath& path, const struct stat& st) {
    const std::string name(path.name());
    int made = 0;
    if (S_ISLNK(st.st_mode)) {
      std::string target(PATH_MAX, '\0');
      const ssize_t n = ::readlinkat(from, name.c_str(), target.data(), target.size());
      if (n < 0) return fail_errno("read link", path.str());
      target.resize(static_cast<size_t>(n));
      made = ::symlinkat(target.c_str(), to, name.c_str());
    } else {
      made = ::mknodat(to, name.c_str(), (st.st_mode & S_IFMT) | 0600, st.st_rdev);
    }
    if (made != 0) return fail_errno("create", path.str());
    if (::fchownat(to, name.c_str(), st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("change owner of", path.str());
    const mode_t mode = st.st_mode & ALLPERMS;
    if (!S_ISLNK(st.st_mode) && ::fchmodat(to, name.c_str(), mode, 0) != 0)
      return fail_errno("change mode of", path.str());
    if (::utimensat(to, name.c_str(), times_of(st).data(), AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("set times of", path.str());
    return {};
  }

  const Root& from_;
  const Root& to_;
  std::stop_token stop_;
  std::map<std::pair<dev_t, ino_t>, RelPath> first_paths_;  // of files with several links
};

}  // namespace

Status copy_metadata(int from, int to, const RelPath& path) {
  struct stat st {};
  if (::fstat(from, &st) != 0) return fail_errno("stat", path.str());
  // chown clears setuid bits and capabilities, so it comes first.
  if (::fchown(to, st.st_uid, st.st_gid) != 0) return fail_errno("change owner of", path.str());
  if (::fchmod(to, st.st_mode & ALLPERMS) != 0) return fail_errno("change mode of", path.str());
  KILN_TRY(copy_xattrs(from, to, path));
  if (::futimens(to, times_of(st).data()) != 0) return fail_errno("set times of", path.str());
  return {};
}

Status copy_tree(const Root& from, const Root& to, std::stop_token stop) {
  return TreeCopier(from, to, std::move(stop)).copy_directory(RelPath());
}

}  // namespace kiln
