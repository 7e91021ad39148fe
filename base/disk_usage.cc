#include "base/disk_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>
#include <vector>

#include "base/fs.h"

namespace kiln {
namespace {

constexpr uint64_t kStatBlockBytes = 512;  // of st_blocks

Status add_usage(const Root& root, const RelPath& path, std::set<ino_t>& linked, uint64_t& bytes) {
  std::vector<RelPath> directories;
  {
    KILN_TRY_ASSIGN(const Fd fd, root.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const auto entries, list_dir(fd.get()));
    for (const DirEntry& entry : entries) {
      struct stat st {};
      if (::fstatat(fd.get(), entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno("stat", path.child(entry.name).str());
      if (S_ISDIR(st.st_mode)) directories.push_back(path.child(entry.name));
      const bool again =
          !S_ISDIR(st.st_mode) && st.st_nlink > 1 && !linked.insert(st.st_ino).second;
      if (!again) bytes += static_cast<uint64_t>(st.st_blocks) * kStatBlockBytes;
    }
  }
  for (const RelPath& directory : directories) KILN_TRY(add_usage(root, directory, linked, bytes));
  return {};
}

}  // namespace

Result<uint64_t> disk_usage(const std::string& directory) {
  KILN_TRY_ASSIGN(const Root root, Root::open(directory));
  std::set<ino_t> linked;
  uint64_t bytes = 0;
  KILN_TRY(add_usage(root, RelPath(), linked, bytes));
  return bytes;
}

}  // namespace kiln
