// Directories that RUN --mount=type=cache keeps between builds: $KILN_ROOT/cachemounts/<hash>/
// holds `data` (what is mounted) and `id` (for people); <hash>.lock beside it is held, shared or
// exclusively, by whoever uses it, and its mtime is when that began. <hash> is the SHA-256 of the
// id: no name from outside becomes a path (SAFETY.md 1.4).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/guarded.h"
#include "llb/op.h"
#include "solver/ops/shared_mounts.h"

namespace kiln {

/// A cache directory in use; its lock goes with it.
struct CacheMount {
  std::string path;
  FileLock lock;
};

/// A cache directory as `du` and pruning see it.
struct StoredCacheMount {
  std::string name;  // of its directory
  std::string id;    // as the Dockerfile has it
  uint64_t bytes = 0;
  bool in_use = false;
  std::chrono::sys_time<std::chrono::nanoseconds> created{}, last_used{};
};

/// Fills a cache directory that is made anew: `path` exists and is empty.
using FillCache = std::function<Status(const std::string& path)>;

class CacheMounts {
 public:
  /// `shared` (borrowed, may be null) fills directories that are made anew, unless they were
  /// pruned.
  explicit CacheMounts(std::string directory, SharedMounts* shared = nullptr)
      : directory_(std::move(directory)), shared_(shared) {}

  /// kShared: beside other users. kLocked: waits until alone. kPrivate: the first of the id's
  /// directories that nobody uses. Blocks; kCancelled.
  Result<CacheMount> acquire(const llb::CacheMountOpt& cache, const FillCache& fill,
                             std::stop_token stop);
  /// The directory of a mount for whoever is alone with it; nullopt: there is none, or it is in
  /// use.
  static Result<std::optional<CacheMount>> look_at(const std::string& directory,
                                                   const std::string& id);
  /// Empties the caches of `id`, once in the life of this object: a step that is built anew starts
  /// with an empty cache, but not each step after it. Waits for users; kCancelled.
  Status prune_once(const std::string& id, std::stop_token stop);
  /// By name. Walks all files. Holds each lock for a moment to see whether it is held.
  Result<std::vector<StoredCacheMount>> list() const;
  /// Bytes freed; 0: it is in use, or gone already.
  Result<uint64_t> remove(const std::string& name) const;

 private:
  Result<CacheMount> lock(const std::string& name, FileLock::Mode mode, std::stop_token stop) const;
  Result<CacheMount> first_free(const std::string& name, std::stop_token stop) const;
  Result<CacheMount> make(const std::string& name, CacheMount held, FileLock::Mode mode,
                          const std::string& id, const FillCache& fill, std::stop_token stop) const;
  Status create(const std::string& name, const std::string& id, const FillCache& fill,
                const std::stop_token& stop) const;
  Status fill_data(const std::string& data, const std::string& id, const FillCache& fill,
                   const std::stop_token& stop) const;
  std::string data_path(const std::string& name) const { return directory_ + "/" + name + "/data"; }

  const std::string directory_;
  SharedMounts* const shared_;
  mutable Guarded<std::set<std::string>> pruned_;  // ids
};

}  // namespace kiln
