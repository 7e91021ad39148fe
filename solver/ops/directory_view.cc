#include "solver/ops/directory_view.h"

#include <fcntl.h>

#include <cerrno>

namespace kiln {

Result<std::optional<struct stat>> DirectoryView::stat(const RelPath& path) const {
  if (!path.is_root()) return root_.stat(path, FollowLast::kNo);
  struct stat st {};
  if (::fstat(root_.fd(), &st) != 0) return fail_errno("stat", "/");
  return std::optional(st);
}

Result<std::vector<TreeNames::Entry>> DirectoryView::list(const RelPath& directory) const {
  KILN_TRY_ASSIGN(const Fd fd, root_.open(directory, O_RDONLY | O_DIRECTORY));
  KILN_TRY_ASSIGN(std::vector<DirEntry> names, list_dir(fd.get()));
  std::vector<Entry> entries;
  entries.reserve(names.size());
  for (DirEntry& found : names) {
    Entry entry{std::move(found.name), {}};
    if (::fstatat(fd.get(), entry.name.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return fail_errno("stat", directory.child(entry.name).absolute());
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::string> DirectoryView::read_link(const RelPath& path) const {
  return root_.read_link(path);
}

Result<FileContent> DirectoryView::file_content(const RelPath& path, FileScratch& scratch) const {
  KILN_TRY_ASSIGN(const int directory, scratch.directory_of(root_, path));
  struct stat st {};
  if (::fstatat(directory, std::string(path.name()).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("stat", path.absolute());
  KILN_TRY_ASSIGN(internal::HashedFile file,
                  internal::read_and_hash(directory, st, path, nullptr, scratch.hash_worker()));
  return FileContent{file.data, std::move(file.xattrs)};
}

}  // namespace kiln
