// The results of operations that lie in the snapshotter, or are nothing at all.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "snapshotter/snapshotter.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

using Timestamp = std::chrono::sys_time<std::chrono::nanoseconds>;

/// A committed snapshot. The snapshotter must outlive it.
class SnapshotRef : public TreeRef {
 public:
  SnapshotRef(Snapshotter& snapshotter, SnapshotId id, std::string scratch, Timestamp created)
      : snapshotter_(snapshotter),
        id_(std::move(id)),
        scratch_(std::move(scratch)),
        created_(created) {}
  Result<std::optional<CacheResult>> cache_result() override;
  Result<std::optional<SnapshotId>> snapshot(std::stop_token stop) override;
  Result<std::unique_ptr<TreeView>> open(std::stop_token stop) override;
  Timestamp created() const override { return created_; }

 private:
  Snapshotter& snapshotter_;
  const SnapshotId id_;
  const std::string scratch_;
  const Timestamp created_;
};

/// The empty tree: `FROM scratch`, or an image without layers.
class EmptyRef : public TreeRef {
 public:
  EmptyRef(std::string scratch, Timestamp created)
      : scratch_(std::move(scratch)), created_(created) {}
  Result<std::optional<CacheResult>> cache_result() override;
  Result<std::optional<SnapshotId>> snapshot(std::stop_token stop) override;
  Result<std::unique_ptr<TreeView>> open(std::stop_token stop) override;
  Timestamp created() const override { return created_; }

 private:
  const std::string scratch_;
  const Timestamp created_;
};

/// `id`, or the empty tree.
RefPtr make_snapshot_ref(Snapshotter& snapshotter, const std::optional<SnapshotId>& id,
                         const std::string& scratch, Timestamp created);

}  // namespace kiln
