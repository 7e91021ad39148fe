#include "snapshotter/work_area.h"

#include <cstdio>
#include <memory>
#include <utility>

namespace kiln::internal {
namespace {

Result<FileLock> lock_of(const std::string& path) {
  return FileLock::acquire(path, FileLock::Mode::kExclusive, [] { return false; });
}

}  // namespace

Result<std::unique_ptr<WorkArea>> WorkArea::open(const std::string& directory) {
  const std::string parent = directory + "/new";
  KILN_TRY(make_dirs(parent, 0700));
  // Held while an area has no lock yet: a sweeper would take it for a dead one.
  KILN_TRY_ASSIGN(const FileLock making, lock_of(directory + "/new.lock"));
  KILN_TRY_ASSIGN(TempDir area, TempDir::create(parent, "p"));
  KILN_TRY_ASSIGN(FileLock lock, lock_of(area.path() + "/lock"));
  std::unique_ptr<WorkArea> opened(new WorkArea(std::move(area), std::move(lock)));
  KILN_TRY(opened->sweep(parent));
  return opened;
}

WorkArea::~WorkArea() {
  if (cleaner_.joinable()) cleaner_.join();
}

std::string WorkArea::next_name() {
  return area_.path() + "/" + std::to_string(++counter_);
}

Result<std::string> WorkArea::fresh() {
  std::string path = next_name();
  KILN_TRY(make_dirs(path, 0700));
  return path;
}

Result<std::string> WorkArea::take(const std::string& path) {
  std::string taken = next_name();
  if (std::rename(path.c_str(), taken.c_str()) != 0) return fail_errno("move aside", path);
  return taken;
}

void WorkArea::discard(const std::string& path) {
  (void)remove_tree(path);  // tried again when the area goes, see the header
}

Status WorkArea::sweep(const std::string& parent) {
  KILN_TRY_ASSIGN(const Root root, Root::open(parent));
  KILN_TRY_ASSIGN(const auto areas, list_dir(root.fd()));
  std::vector<std::string> dead;
  for (const DirEntry& entry : areas) {
    const std::string path = parent + "/" + entry.name;
    if (path == area_.path()) continue;
    auto lock = FileLock::try_acquire(path + "/lock", FileLock::Mode::kExclusive);
    // Not lockable: its process is just removing it.
    if (!lock || !lock->has_value()) continue;
    if (auto taken = take(path)) dead.push_back(*std::move(taken));
  }
  if (dead.empty()) return {};
  cleaner_ = std::jthread([this, paths = std::move(dead)] {
    for (const std::string& path : paths) discard(path);
  });
  return {};
}

}  // namespace kiln::internal
