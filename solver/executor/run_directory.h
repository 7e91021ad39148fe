// Where bundles lie: run_directory/<id>/<n>/ with one <id> and one lock an executor. What a killed
// kiln left is recognised by its lock being free, and swept.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "base/result.h"

namespace kiln {

class RunDirectory {
 public:
  /// Sweeps, then makes this executor's directory. `swept` gets the ids of dead executors.
  static Result<RunDirectory> open(const std::string& directory, std::vector<std::string>& swept);
  RunDirectory(RunDirectory&& other) noexcept
      : id_(std::move(other.id_)),
        path_(std::exchange(other.path_, std::string())),
        lock_(std::move(other.lock_)) {}
  RunDirectory& operator=(RunDirectory&&) = delete;
  ~RunDirectory();

  const std::string& id() const { return id_; }
  const std::string& path() const { return path_; }

 private:
  static Result<RunDirectory> make(const std::string& directory);
  RunDirectory(std::string id, std::string path, FileLock lock)
      : id_(std::move(id)), path_(std::move(path)), lock_(std::move(lock)) {}
  std::string id_, path_;
  FileLock lock_;
};

}  // namespace kiln
