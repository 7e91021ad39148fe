// Where directories are made before they are published and end after they are taken away:
// `<snapshots>/new/<process>/`, beside a lock that its process holds. What killed processes left is
// found by its free lock and removed in the background.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fs.h"

namespace kiln::internal {

class WorkArea {
 public:
  /// `directory` must be there.
  static Result<std::unique_ptr<WorkArea>> open(const std::string& directory);
  ~WorkArea();

  /// Makes a directory of its own in the area.
  Result<std::string> fresh();
  /// Moves `path` into the area, under a name of its own, and returns that.
  Result<std::string> take(const std::string& path);
  /// Removes a directory of the area. What cannot be removed goes with the area, or is swept later.
  void discard(const std::string& path);

 private:
  WorkArea(TempDir area, FileLock lock) : area_(std::move(area)), lock_(std::move(lock)) {}
  std::string next_name();
  Status sweep(const std::string& parent);

  TempDir area_;
  FileLock lock_;
  std::atomic<uint64_t> counter_ = 0;
  std::jthread cleaner_;
};

}  // namespace kiln::internal
