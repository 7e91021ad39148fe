#include "snapshotter/tree_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "snapshotter/change_writer.h"

namespace kiln::internal {
namespace {

using oci::EntryType;
using oci::TarEntry;

constexpr mode_t kImpliedMode = 0755;

struct timespec mtime_of(const TarEntry& entry) {
  return {.tv_sec = entry.mtime, .tv_nsec = static_cast<long>(entry.mtime_ns)};
}

// Both times, so that nothing depends on when the archive was unpacked.
std::array<struct timespec, 2> both(const struct timespec& mtime) {
  return {mtime, mtime};
}

mode_t node_type(EntryType type) {
  switch (type) {
    case EntryType::kCharDevice:
      return S_IFCHR;
    case EntryType::kBlockDevice:
      return S_IFBLK;
    default:
      return S_IFIFO;
  }
}

bool is_kept_xattr(std::string_view name) {
  return name == "security.capability" || name.starts_with("user.");
}

tl::unexpected<Error> needs_lower_layers(std::string_view what) {
  return fail(Code::kFailedPrecondition, std::string(what) + " is not in this archive");
}

// nullopt: absent.
Result<std::optional<struct stat>> look(int directory_fd, const std::string& name) {
  struct stat st {};
  if (::fstatat(directory_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return st;
  if (errno == ENOENT) return std::nullopt;
  return fail_errno("stat", name);
}

}  // namespace

Result<TreeWriter> TreeWriter::open(const Root& root, const ApplyOptions& options) {
  TreeWriter writer(root, options);
  if (options.mode == ApplyMode::kMerged) {
    KILN_TRY_ASSIGN(const auto entries, list_dir(root.fd()));
    writer.hides_nothing_ = entries.empty();
    writer.tracks_ = !entries.empty();
  }
  return writer;
}

void TreeWriter::note_written(const RelPath& path) {
  if (!tracks_) return;
  for (RelPath at = path; !at.is_root() && written_.insert(at.str()).second;) at = at.parent();
}

Result<Fd> TreeWriter::open_existing(const RelPath& directory) const {
  return root_.open(directory, O_PATH | O_DIRECTORY);
}

Status TreeWriter::note_directory(const RelPath& path, int fd, mode_t mode,
                                  const struct timespec& mtime) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail_errno("stat", path.str());
  directories_.insert_or_assign(Inode(st.st_dev, st.st_ino), Settled{path, mode, mtime});
  return {};
}

Status TreeWriter::note_parent(const RelPath& path, int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail_errno("stat", path.str());
  directories_.try_emplace(Inode(st.st_dev, st.st_ino),
                           Settled{path, st.st_mode & ALLPERMS, st.st_mtim});
  return {};
}

Result<Fd> TreeWriter::make_implied(const RelPath& directory, const struct timespec& mtime) {
  KILN_TRY_ASSIGN(const Fd above, open_or_make(directory.parent(), mtime));
  const std::string name(directory.name());
  if (::mkdirat(above.get(), name.c_str(), kImpliedMode) != 0)
    return fail_errno("make parent directory", directory.str());
  KILN_TRY_ASSIGN(Fd made, open_existing(directory));
  KILN_TRY(note_directory(directory, made.get(), kImpliedMode, mtime));
  return made;
}

Result<Fd> TreeWriter::open_or_make(const RelPath& directory, const struct timespec& mtime) {
  Result<Fd> found = open_existing(directory);
  if (found) {
    KILN_TRY(note_parent(directory, found->get()));
    return found;
  }
  if (is_upper()) return needs_lower_layers("the directory \"" + directory.str() + "\"");
  if (found.error().code() != Code::kNotFound) return found;
  // A link that dangles inside the root: what it points to is made.
  KILN_TRY_ASSIGN(const RelPath resolved, root_.resolve(directory, FollowLast::kYes));
  return resolved == directory ? make_implied(directory, mtime) : open_or_make(resolved, mtime);
}

Status TreeWriter::enter_parent(const TarEntry& entry) {
  RelPath wanted = entry.path.parent();
  if (parent_.valid() && wanted == parent_path_) return {};
  KILN_TRY_ASSIGN(parent_, open_or_make(wanted, mtime_of(entry)));
  parent_path_ = std::move(wanted);
  return {};
}

template <class Create>
Status TreeWriter::create_entry(const TarEntry& entry, Create create) {
  if (entry.path.is_root())
    return fail(Code::kInvalidArgument, "the root of an archive can only be a directory");
  KILN_TRY(enter_parent(entry));
  const std::string name(entry.path.name());
  if (create(name.c_str()) != 0) {
    if (errno != EEXIST) return fail_errno("create", entry.path.str());
    KILN_TRY(remove_tree_at(parent_.get(), name));
    if (create(name.c_str()) != 0) return fail_errno("create", entry.path.str());
  }
  note_written(entry.path);
  return {};
}

Status TreeWriter::set_xattrs(int fd, const TarEntry& entry) const {
  for (const auto& [name, value] : entry.xattrs) {
    if (!is_kept_xattr(name)) continue;
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    // A file system without user xattrs loses little; one that cannot hold capabilities would
    // build programs that do not work.
    if (name.starts_with("user.") && errno == EOPNOTSUPP) continue;
    return fail_errno("set " + name + " of", entry.path.str());
  }
  return {};
}

Result<Fd> TreeWriter::create_file(const TarEntry& entry) {
  Fd file;
  constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
  KILN_TRY(create_entry(entry, [&](const char* name) {
    file = Fd(::openat(parent_.get(), name, kFlags, 0600));
    return file.valid() ? 0 : -1;
  }));
  return file;
}

Status TreeWriter::finish_file(const Fd& file, const TarEntry& entry) {
  // chown clears setuid bits and capabilities, so it comes first.
  if (::fchown(file.get(), entry.uid, entry.gid) != 0)
    return fail_errno("change owner of", entry.path.str());
  if (::fchmod(file.get(), entry.mode & ALLPERMS) != 0)
    return fail_errno("change mode of", entry.path.str());
  KILN_TRY(set_xattrs(file.get(), entry));
  if (::futimens(file.get(), both(mtime_of(entry)).data()) != 0)
    return fail_errno("set times of", entry.path.str());
  return {};
}

Status TreeWriter::create_directory(const TarEntry& entry) {
  KILN_TRY(enter_parent(entry));
  const std::string name(entry.path.name());
  if (::mkdirat(parent_.get(), name.c_str(), S_IRWXU) != 0) {
    if (errno != EEXIST) return fail_errno("make directory", entry.path.str());
    KILN_TRY_ASSIGN(const auto found, look(parent_.get(), name));
    if (!found || !S_ISDIR(found->st_mode)) {
      KILN_TRY(remove_tree_at(parent_.get(), name));
      if (::mkdirat(parent_.get(), name.c_str(), S_IRWXU) != 0)
        return fail_errno("make directory", entry.path.str());
      if (is_upper() && found && is_whiteout_device(*found)) KILN_TRY(mark_opaque(entry.path));
    }
  }
  note_written(entry.path);
  return {};
}

Status TreeWriter::make_directory(const TarEntry& entry) {
  if (!entry.path.is_root()) KILN_TRY(create_directory(entry));
  const std::string name(entry.path.is_root() ? "." : entry.path.name());
  const int above = entry.path.is_root() ? root_.fd() : parent_.get();
  const Fd fd(::openat(above, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open directory", entry.path.str());
  // The owner before the inode is noted: overlayfs may give a directory another one when it copies
  // it up.
  if (::fchown(fd.get(), entry.uid, entry.gid) != 0)
    return fail_errno("change owner of", entry.path.str());
  KILN_TRY(set_xattrs(fd.get(), entry));
  return note_directory(entry.path, fd.get(), entry.mode & ALLPERMS, mtime_of(entry));
}

Result<Fd> TreeWriter::open_link_target(const RelPath& target) const {
  Result<Fd> directory = open_existing(target.parent());
  if (directory) {
    KILN_TRY_ASSIGN(const auto st, look(directory->get(), std::string(target.name())));
    if (st && S_ISDIR(st->st_mode))
      return fail(Code::kInvalidArgument, "hardlink to a directory, \"" + target.str() + "\"");
    if (st && !(is_upper() && is_whiteout_device(*st))) return directory;
  }
  if (is_upper()) return needs_lower_layers("the hardlink's target \"" + target.str() + "\"");
  return fail(Code::kInvalidArgument, "hardlink to \"" + target.str() + "\", which does not exist");
}

Status TreeWriter::make_hardlink(const TarEntry& entry) {
  KILN_TRY_ASSIGN(const RelPath target, RelPath::strict(entry.link_target));
  if (target.is_root()) return fail(Code::kInvalidArgument, "hardlink to the root");
  KILN_TRY_ASSIGN(const Fd from, open_link_target(target));
  const std::string target_name(target.name());
  KILN_TRY(enter_parent(entry));
  KILN_TRY_ASSIGN(const auto there, look(parent_.get(), std::string(entry.path.name())));
  KILN_TRY_ASSIGN(const auto wanted, look(from.get(), target_name));
  if (there && wanted && there->st_dev == wanted->st_dev && there->st_ino == wanted->st_ino)
    return {};  // removing what is in the way would remove the target
  return create_entry(entry, [&](const char* name) {
    return ::linkat(from.get(), target_name.c_str(), parent_.get(), name, 0);
  });
}

Status TreeWriter::make_node(const TarEntry& entry) {
  const bool is_link = entry.type == EntryType::kSymlink;
  KILN_TRY(create_entry(entry, [&](const char* name) {
    if (is_link) return ::symlinkat(entry.link_target.c_str(), parent_.get(), name);
    return ::mknodat(parent_.get(), name, node_type(entry.type) | 0600,
                     makedev(entry.dev_major, entry.dev_minor));
  }));
  const std::string name(entry.path.name());
  if (::fchownat(parent_.get(), name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("change owner of", entry.path.str());
  // It was made just now and is no link, and nobody else is at work in this tree.
  if (!is_link && ::fchmodat(parent_.get(), name.c_str(), entry.mode & ALLPERMS, 0) != 0)
    return fail_errno("change mode of", entry.path.str());
  const auto times = both(mtime_of(entry));
  if (::utimensat(parent_.get(), name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("set times of", entry.path.str());
  return {};
}

Status TreeWriter::mark_opaque(const RelPath& path) const {
  KILN_TRY_ASSIGN(const Fd fd, root_.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
  const std::string name = options_.overlay_xattrs + "opaque";
  if (::fsetxattr(fd.get(), name.c_str(), "y", 1, 0) != 0)
    return fail_errno("set " + name + " of", path.str());
  return {};
}

Status TreeWriter::white_out(const RelPath& path) {
  if (hides_nothing_) return {};
  const Result<Fd> above = open_existing(path.parent());
  if (!above && is_upper())
    return needs_lower_layers("the directory \"" + path.parent().str() + "\"");
  if (!above) return {};
  const std::string name(path.name());
  KILN_TRY_ASSIGN(const auto found, look(above->get(), name));
  if (is_upper()) {
    KILN_TRY(note_parent(path.parent(), above->get()));
    if (found) return S_ISDIR(found->st_mode) ? mark_opaque(path) : Status();
    if (::mknodat(above->get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0)
      return fail_errno("make whiteout", path.str());
    return {};
  }
  if (!found) return {};
  KILN_TRY(note_parent(path.parent(), above->get()));
  if (!written_.contains(path.str())) return remove_tree_at(above->get(), name);
  return S_ISDIR(found->st_mode) ? make_opaque(path) : Status();
}

Status TreeWriter::remove_foreign(int directory_fd, const RelPath& path) {
  KILN_TRY_ASSIGN(const auto entries, list_dir(directory_fd));
  for (const DirEntry& entry : entries) {
    const RelPath child = path.child(entry.name);
    if (!written_.contains(child.str())) {
      KILN_TRY(remove_tree_at(directory_fd, entry.name));
    } else if (entry.type == DT_DIR) {
      KILN_TRY(make_opaque(child));
    }
  }
  return {};
}

Status TreeWriter::make_opaque(const RelPath& path) {
  if (hides_nothing_) return {};
  if (is_upper()) {
    if (!open_existing(path)) return needs_lower_layers("the directory \"" + path.str() + "\"");
    return mark_opaque(path);
  }
  const Result<Fd> directory = root_.open(path, O_PATH | O_DIRECTORY, 0, FollowLast::kNo);
  if (!directory) return {};  // nothing to hide
  KILN_TRY(note_parent(path, directory->get()));
  parent_.reset();  // it may be removed
  return remove_foreign(directory->get(), path);
}

Status TreeWriter::settle(const Inode& inode, const Settled& directory) const {
  const Result<Fd> fd = root_.open(directory.path, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    KILN_TRY_ASSIGN(const auto st, root_.stat(directory.path, FollowLast::kYes));
    if (!st || !S_ISDIR(st->st_mode)) return {};  // the archive has replaced it
    return tl::unexpected(fd.error());
  }
  struct stat st {};
  if (::fstat(fd->get(), &st) != 0) return fail_errno("stat", directory.path.str());
  if (Inode(st.st_dev, st.st_ino) != inode) return {};
  if ((st.st_mode & ALLPERMS) != directory.mode && ::fchmod(fd->get(), directory.mode) != 0)
    return fail_errno("change mode of", directory.path.str());
  if (::futimens(fd->get(), both(directory.mtime).data()) != 0)
    return fail_errno("set times of", directory.path.str());
  return {};
}

Status TreeWriter::finish() {
  // Children first: a directory may become one that we may not search.
  std::vector<const std::pair<const Inode, Settled>*> order;
  for (const auto& directory : directories_) order.push_back(&directory);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return b->second.path < a->second.path; });
  for (const auto* directory : order) KILN_TRY(settle(directory->first, directory->second));
  return {};
}

}  // namespace kiln::internal
