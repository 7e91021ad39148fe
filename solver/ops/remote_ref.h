// A result that is known by its layers, which are elsewhere until somebody looks at its files.
#pragma once

#include <memory>
#include <mutex>

#include "solver/ops/ops.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

class RemoteRef : public TreeRef {
 public:
  /// `environment` must outlive it, and has remote layers that can fetch the result's.
  RemoteRef(const OpsEnvironment& environment, CacheResult result)
      : environment_(environment), result_(std::move(result)) {}
  /// By its layers: a record of it is good once they are here.
  Result<std::optional<CacheResult>> cache_result() override { return result_; }
  Result<std::optional<SnapshotId>> snapshot(std::stop_token stop) override;
  Result<std::unique_ptr<TreeView>> open(std::stop_token stop) override;
  std::chrono::sys_time<std::chrono::nanoseconds> created() const override {
    return result_.created;
  }

 private:
  Result<TreeRef*> fetched(const std::stop_token& stop);
  const OpsEnvironment& environment_;
  const CacheResult result_;
  std::mutex mutex_;  // local_
  RefPtr local_;      // null until it was fetched
};

/// The snapshot of the result's layers if they are all here; kNotFound otherwise. nullopt: the
/// empty tree.
Result<std::optional<SnapshotId>> snapshot_of_layers(const OpsEnvironment& environment,
                                                     const CacheResult& result);

}  // namespace kiln
