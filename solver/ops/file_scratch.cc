#include "solver/ops/file_scratch.h"

#include <fcntl.h>

#include <string_view>

namespace kiln {
namespace {

std::string_view parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return std::string_view(path).substr(0, slash == std::string::npos ? 0 : slash);
}

}  // namespace

Result<int> FileScratch::directory_of(const Root& root, const RelPath& path) {
  const std::string_view wanted = parent_of(path.str());
  if (!directory_.valid() || directory_path_ != wanted) {
    KILN_TRY_ASSIGN(directory_, root.open(path.parent(), O_PATH | O_DIRECTORY, 0, FollowLast::kNo));
    directory_path_ = wanted;
  }
  return directory_.get();
}

Result<Fd> FileScratch::open(const Root& root, const RelPath& path) {
  KILN_TRY_ASSIGN(const int directory, directory_of(root, path));
  const std::string name(path.name());
  Fd file(
      ::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) return fail_errno("open", path.absolute());
  return file;
}

}  // namespace kiln
