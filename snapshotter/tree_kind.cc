#include "snapshotter/tree_kind.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "base/fs.h"
#include "snapshotter/copy_tree.h"

namespace kiln::internal {
namespace {

constexpr mode_t kRootMode = 0755;
constexpr int64_t kSecond = 1'000'000'000;
// Layers may name any time; what nanoseconds in 64 bits cannot say is as good as their last one.
constexpr int64_t kLastSecond = std::numeric_limits<int64_t>::max() / kSecond - 1;

int64_t nanoseconds_of(const struct timespec& time) {
  return std::clamp<int64_t>(time.tv_sec, -kLastSecond, kLastSecond) * kSecond + time.tv_nsec;
}

}  // namespace

std::string tree_of(const std::string& directory) {
  return directory + "/fs";
}

Result<std::optional<int64_t>> root_mtime(const std::string& directory) {
  struct stat st {};
  const std::string tree = tree_of(directory);
  if (::lstat(tree.c_str(), &st) == 0)
    return S_ISDIR(st.st_mode) ? std::optional<int64_t>(nanoseconds_of(st.st_mtim)) : std::nullopt;
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<int64_t>();
  return fail_errno("stat", tree);
}

bool is_same_root_mtime(int64_t noted, int64_t found) {
  return noted == found || (found % kSecond == 0 && found <= noted && noted - found < kSecond);
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
