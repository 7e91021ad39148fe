// The composition root: opens a kiln root and builds every object that a command works with, in the
// order in which they depend on each other (members are destroyed in reverse). Several engines may
// have one root open at once.
#pragma once

#include "base/clock.h"
#include "base/database.h"
#include "base/workers.h"
#include "cache/downloads.h"
#include "cache/local_store.h"
#include "cmd/options.h"
#include "oci/image_store.h"
#include "oci/lease.h"
#include "oci/local_content_store.h"
#include "snapshotter/overlay.h"
#include "solver/executor/executor.h"

#include <memory>
#include <string>

namespace kiln::cmd {

/// Paths below the root (ARCHITECTURE.md 4).
struct RootLayout {
  explicit RootLayout(std::string root) : directory(std::move(root)) {}
  std::string directory;
  std::string content() const { return directory + "/content"; }
  std::string snapshots() const { return directory + "/snapshots"; }
  std::string run() const { return directory + "/run"; }
  std::string database() const { return directory + "/kiln.db"; }
  std::string cache_mounts() const { return directory + "/cachemounts"; }
  std::string logs() const { return directory + "/logs"; }
  std::string stat_caches() const { return directory + "/statcache"; }
  std::string reserve() const { return directory + "/reserve"; }
};

enum class Need : uint8_t {
  kStores,  // images and blobs only: no mount namespace
  kBuild,   // snapshots and RUN too
};

class Engine {
 public:
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Makes the root if it is absent. kFailedPrecondition: a root of a newer kiln, or kBuild without
  /// the privilege to mount. Call with kBuild before any thread is started.
  static Result<std::unique_ptr<Engine>> open(const GlobalOptions& options, Need need,
                                              const std::string& search_path);
  /// The same for who is about to free space: if the disk is full, the reserve that every root
  /// keeps is given up first.
  static Result<std::unique_ptr<Engine>> open_to_free(const GlobalOptions& options,
                                                      const std::string& search_path);

  /// Of kind kBuild.
  bool can_build() const { return executor_ != nullptr; }
  const RootLayout& layout() const { return layout_; }
  /// For mount points and what is unpacked on the way: run/scratch/<lease>, empty at first and gone
  /// with the engine, or swept by the next one if this process is killed.
  const std::string& scratch() const { return scratch_; }
  const oci::Lease& lease() const { return *lease_; }
  oci::Leases& leases() { return *leases_; }
  Database& database() { return *database_; }
  oci::LocalContentStore& content() { return *content_; }
  oci::ImageStore& images() { return *images_; }
  LocalCacheStore& cache() { return *cache_; }
  Downloads& downloads() { return *downloads_; }
  Snapshotter& snapshots() { return *snapshots_; }  // kBuild only
  Executor& executor() {
    return *executor_;
  }  // kBuild only; the runtime is looked for on the first run
  WorkerPool& workers() { return *workers_; }

 private:
  enum class Reserve : uint8_t { kKept, kGivenUp };
  explicit Engine(std::string root) : layout_(std::move(root)) {}
  static Result<std::unique_ptr<Engine>> open_with(const GlobalOptions& options, Need need,
                                                   const std::string& search_path, Reserve reserve);
  Status open_stores();
  Status open_scratch();
  Status open_build(const GlobalOptions& options, const std::string& search_path);

  RootLayout layout_;
  std::string scratch_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<oci::Leases> leases_;
  std::unique_ptr<oci::Lease> lease_;
  std::unique_ptr<oci::LocalContentStore> content_;
  std::unique_ptr<oci::ImageStore> images_;
  std::unique_ptr<LocalCacheStore> cache_;
  std::unique_ptr<Downloads> downloads_;
  std::unique_ptr<Snapshotter> snapshots_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<WorkerPool> workers_;
};

}  // namespace kiln::cmd
