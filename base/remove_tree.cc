// remove_tree of fs.h. The walk keeps its own stack and a bounded number of open directories, so
// that depth costs neither stack nor fds: an ancestor whose fd was closed is reopened through ".."
// and must be the same directory.
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/dir_reader.h"
#include "base/fs.h"
#include "base/openat2.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr size_t kMaxOpenDirs = 32;
constexpr mode_t kOwnerAll = S_IRWXU;

struct Level {
  std::string name;  // in the parent
  Fd fd;             // invalid: closed to save fds
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> subdirs;  // still to be removed
  bool removed_some = false;         // by the last scan
};

class TreeRemover {
 public:
  explicit TreeRemover(int parent_fd) : parent_fd_(parent_fd) {}
  Status remove(const std::string& name);

 private:
  Status descend(const std::string& name);
  Status ascend();
  Status scan(Level& level);
  Status reopen(Level& level, const Fd& below) const;
  int fd_above() const {
    return levels_.size() < 2 ? parent_fd_ : levels_[levels_.size() - 2].fd.get();
  }
  void note(Error error) {
    if (!first_error_) first_error_ = std::move(error);
  }

  int parent_fd_;
  std::vector<Level> levels_;
  // What could not be removed does not keep the rest from being removed.
  std::optional<Error> first_error_;
};

// Opens a directory for removal of what it holds. RESOLVE_NO_XDEV stops at bind mounts too, which
// st_dev does not show.
Result<Fd> open_dir(int parent_fd, const std::string& name) {
  constexpr uint64_t kResolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  Fd fd = internal::open_at2(parent_fd, name.c_str(), kFlags, 0, kResolve);
  if (fd.valid() || errno != EACCES) {
    if (!fd.valid()) return fail_errno("open directory", name);
    return fd;
  }
  // Unreadable, and we are not root: make it ours, by fd so that no link can be put in its place.
  const Fd handle =
      internal::open_at2(parent_fd, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, kResolve);
  if (!handle.valid()) return fail_errno("open directory", name);
  const std::string by_fd = "/proc/self/fd/" + std::to_string(handle.get());
  if (::chmod(by_fd.c_str(), kOwnerAll) != 0) return fail_errno("change mode of", name);
  fd = internal::open_at2(parent_fd, name.c_str(), kFlags, 0, kResolve);
  if (!fd.valid()) return fail_errno("open directory", name);
  return fd;
}

// unlinkat that gives the directory write and search permission when that is what is missing.
int unlink_in(int dir_fd, const char* name, int flags) {
  if (::unlinkat(dir_fd, name, flags) == 0) return 0;
  if (errno != EACCES || ::fchmod(dir_fd, kOwnerAll) != 0) return errno;
  return ::unlinkat(dir_fd, name, flags) == 0 ? 0 : errno;
}

// Removes all but directories, and collects those.
Status TreeRemover::scan(Level& level) {
  if (::lseek(level.fd.get(), 0, SEEK_SET) != 0) return fail_errno("rewind directory", level.name);
  level.removed_some = false;
  internal::DirReader reader(level.fd.get());
  for (;;) {
    KILN_TRY_ASSIGN(const bool more, reader.fill());
    if (!more) return {};
    reader.for_each([&](const char* name, uint8_t type) {
      if (type == DT_DIR) {
        level.subdirs.emplace_back(name);
        return;
      }
      const int error = unlink_in(level.fd.get(), name, 0);
      if (error == 0) level.removed_some = true;
      if (error == EISDIR) level.subdirs.emplace_back(name);  // DT_UNKNOWN
      if (error != 0 && error != EISDIR && error != ENOENT)
        note(Error::from_errno(error, "remove", name));
    });
  }
}

Status TreeRemover::descend(const std::string& name) {
  const int above = levels_.empty() ? parent_fd_ : levels_.back().fd.get();
  Level level;
  level.name = name;
  KILN_TRY_ASSIGN(level.fd, open_dir(above, name));
  struct stat st {};
  if (::fstat(level.fd.get(), &st) != 0) return fail_errno("stat", name);
  level.device = st.st_dev;
  level.inode = st.st_ino;
  KILN_TRY(scan(level));
  levels_.push_back(std::move(level));
  if (levels_.size() > kMaxOpenDirs) levels_[levels_.size() - 1 - kMaxOpenDirs].fd.reset();
  return {};
}

Status TreeRemover::reopen(Level& level, const Fd& below) const {
  level.fd = internal::open_at2(below.get(), "..", O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_XDEV);
  struct stat st {};
  if (!level.fd.valid() || ::fstat(level.fd.get(), &st) != 0)
    return fail_errno("open directory", level.name);
  if (st.st_dev != level.device || st.st_ino != level.inode)
    return fail(Code::kFailedPrecondition, "\"" + level.name + "\" was moved while it was removed");
  return {};
}

// Removes the directory on top of the stack, whose subdirectories are dealt with.
Status TreeRemover::ascend() {
  Level& level = levels_.back();
  if (levels_.size() > 1 && !levels_[levels_.size() - 2].fd.valid())
    KILN_TRY(reopen(levels_[levels_.size() - 2], level.fd));
  const int error = unlink_in(fd_above(), level.name.c_str(), AT_REMOVEDIR);
  // Some file systems skip entries when others vanish during the read: look again while that finds
  // something.
  if (error == ENOTEMPTY && level.removed_some && !first_error_) return scan(level);
  if (error != 0 && error != ENOENT) note(Error::from_errno(error, "remove directory", level.name));
  levels_.pop_back();
  return {};
}

Status TreeRemover::remove(const std::string& name) {
  KILN_TRY(descend(name));
  while (!levels_.empty()) {
    Level& top = levels_.back();
    if (top.subdirs.empty()) {
      KILN_TRY(ascend());
      continue;
    }
    const std::string subdir = std::move(top.subdirs.back());
    top.subdirs.pop_back();
    top.removed_some = true;
    if (const Status entered = descend(subdir);
        !entered && entered.error().code() != Code::kNotFound)
      note(entered.error());
  }
  if (first_error_) return tl::unexpected(*first_error_);
  return {};
}

}  // namespace

Status remove_tree_at(int dir_fd, std::string_view name) {
  const std::string entry(name);
  if (entry.empty() || entry == "." || entry == ".." || entry.find('/') != std::string::npos)
    return fail(Code::kInvalidArgument, "refusing to remove \"" + entry + "\"");
  const int error = unlink_in(dir_fd, entry.c_str(), 0);
  if (error == 0 || error == ENOENT) return {};
  if (error != EISDIR) return tl::unexpected(Error::from_errno(error, "remove", name));
  Status removed = TreeRemover(dir_fd).remove(entry);
  if (!removed && removed.error().code() == Code::kNotFound) return {};
  return removed;
}

Status remove_tree(const std::string& path) {
  // No lexical cleaning: "a/.." would come out as the directory that holds "a", and removal has no
  // undo.
  const std::string_view text = std::string_view(path).substr(0, path.find_last_not_of('/') + 1);
  const std::vector<std::string> components = split(text, '/');
  const std::string& name = components.back();
  if (name.empty() || name == "." ||
      std::find(components.begin(), components.end(), "..") != components.end())
    return fail(Code::kInvalidArgument, "refusing to remove \"" + path + "\"");
  const std::string_view above = text.substr(0, text.size() - name.size());
  const std::string parent = above.empty() ? "." : std::string(above);
  const Fd fd(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (!fd.valid()) return fail_errno("open directory", parent);
  Status removed = remove_tree_at(fd.get(), name);
  if (!removed) return tl::unexpected(removed.error().wrap("remove \"" + path + "\""));
  return removed;
}

}  // namespace kiln
