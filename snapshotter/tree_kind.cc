#include "snapshotter/tree_kind.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/fs.h"
#include "snapshotter/copy_tree.h"

namespace kiln::internal {
namespace {

constexpr mode_t kRootMode = 0755;

}  // namespace

std::string tree_of(const std::string& directory) {
  return directory + "/fs";
}

Result<std::optional<int64_t>> root_mtime(const std::string& directory) {
  struct stat st {};
  const std::string tree = tree_of(directory);
  if (::lstat(tree.c_str(), &st) == 0)
    return S_ISDIR(st.st_mode) ? std::optional<int64_t>(st.st_mtim.tv_sec) : std::nullopt;
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<int64_t>();
  return fail_errno("stat", tree);
}

Status set_root_metadata(const std::string& directory, const Ancestors& below) {
  KILN_TRY_ASSIGN(const Root root, Root::open(tree_of(directory)));
  if (!below.empty()) {
    KILN_TRY_ASSIGN(const Root lower, Root::open(tree_of(below.back())));
    return copy_metadata(lower.fd(), root.fd(), RelPath());
  }
  if (::geteuid() == 0 && ::fchown(root.fd(), 0, 0) != 0)
    return fail_errno("change owner of", directory);
  if (::fchmod(root.fd(), kRootMode) != 0) return fail_errno("change mode of", directory);
  constexpr std::array<struct timespec, 2> kEpoch = {};
  if (::futimens(root.fd(), kEpoch.data()) != 0) return fail_errno("set times of", directory);
  return {};
}

}  // namespace kiln::internal
