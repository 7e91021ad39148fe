#include "snapshotter/change_writer.h"

#include "base/strings.h"
#include "snapshotter/layer_diff.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace kiln {

Status check_layer_name(const RelPath& path) {
  if (!path.name().starts_with(".wh.")) return {};
  return tl::unexpected(
      Error(Code::kInvalidArgument,
            quote(path.absolute()) + ": a layer cannot hold names that begin with \".wh.\", which "
                                     "mark deleted files")
          .hint(
              "leave it out (--exclude, the ignore file), or remove it in the step that makes it"));
}

}  // namespace kiln

namespace kiln::internal {
namespace {

using oci::EntryType;
using oci::TarEntry;

constexpr std::string_view kWhiteout = ".wh.";

EntryType entry_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return EntryType::kDirectory;
    case S_IFLNK:
      return EntryType::kSymlink;
    case S_IFCHR:
      return EntryType::kCharDevice;
    case S_IFBLK:
      return EntryType::kBlockDevice;
    case S_IFIFO:
      return EntryType::kFifo;
    default:
      return EntryType::kFile;
  }
}

Result<std::string> read_link_at(int directory_fd, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t n = ::readlinkat(directory_fd, name.c_str(), target.data(), target.size());
  if (n < 0) return fail_errno("read link", name);
  target.resize(static_cast<size_t>(n));
  return target;
}

}  // namespace

TarEntry entry_of(const RelPath& path, const struct stat& st) {
  TarEntry entry;
  entry.path = path;
  entry.type = entry_type(st.st_mode);
  entry.mode = st.st_mode & ALLPERMS;
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.mtime = st.st_mtim.tv_sec;
  if (entry.type == EntryType::kFile) entry.size = static_cast<uint64_t>(st.st_size);
  if (entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice) {
    entry.dev_major = major(st.st_rdev);
    entry.dev_minor = minor(st.st_rdev);
  }
  return entry;
}

bool is_whiteout_device(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

bool same_mtime(const struct stat& a, const struct stat& b) {
  if (a.st_mtim.tv_sec != b.st_mtim.tv_sec) return false;
  const bool both_fine = a.st_mtim.tv_nsec != 0 && b.st_mtim.tv_nsec != 0;
  return !both_fine || a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

bool same_metadata(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid && same_mtime(a, b);
}

Result<std::vector<Child>> read_children(const Root& root, const RelPath& directory) {
  KILN_TRY_ASSIGN(const Fd fd, root.open(directory, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
  KILN_TRY_ASSIGN(auto entries, list_dir(fd.get()));
  std::vector<Child> children;
  children.reserve(entries.size());
  for (DirEntry& entry : entries) {
    KILN_TRY(check_layer_name(directory.child(entry.name)));
    Child& child = children.emplace_back(Child{std::move(entry.name), {}, {}});
    if (::fstatat(fd.get(), child.name.c_str(), &child.st, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("stat", directory.child(child.name).str());
    if (S_ISLNK(child.st.st_mode)) {
      KILN_TRY_ASSIGN(child.link_target, read_link_at(fd.get(), child.name));
    }
  }
  return children;
}

Result<std::optional<struct stat>> stat_child(const Fd& directory, const std::string& name) {
  struct stat st {};
  if (!directory.valid()) return std::nullopt;
  if (::fstatat(directory.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return st;
  if (errno == ENOENT) return std::nullopt;
  return fail_errno("stat", name);
}

Status ChangeWriter::enter(const RelPath& path, const struct stat& st, Changed changed) {
  open_.push_back({path, st, false});
  return changed == Changed::kYes ? write_parents() : Status();
}

Status ChangeWriter::write_parents() {
  // Written ones are a prefix: an entry is never written without what is above it.
  size_t first = open_.size();
  while (first > 0 && !open_[first - 1].written) --first;
  for (; first < open_.size(); ++first) {
    KILN_TRY(stream_.add(entry_of(open_[first].path, open_[first].st)));
    open_[first].written = true;
  }
  return {};
}

Status ChangeWriter::add(const RelPath& path, const Child& child) {
  if (S_ISSOCK(child.st.st_mode)) return {};
  KILN_TRY(write_parents());
  TarEntry entry = entry_of(path, child.st);
  entry.link_target = child.link_target;
  if (child.st.st_nlink > 1) {
    const auto inode = std::make_pair(child.st.st_dev, child.st.st_ino);
    const auto [first, is_first] = first_paths_.try_emplace(inode, path);
    if (!is_first) {
      entry.type = EntryType::kHardlink;
      entry.size = 0;
      entry.link_target = first->second.str();
    }
  }
  return stream_.add(std::move(entry));
}

Status ChangeWriter::white_out(const RelPath& path) {
  KILN_TRY(write_parents());
  TarEntry entry;  // a regular file without owner, mode, time and content
  entry.path = path.parent().child(std::string(kWhiteout) + std::string(path.name()));
  return stream_.add(std::move(entry), Content::kNone);
}

}  // namespace kiln::internal
