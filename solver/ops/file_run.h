// One execution of a file op: the trees its actions work on, in order. Consecutive actions on one
// tree share a snapshot and a plan; what an archive needs on disk, or another action reads, is
// applied before.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "solver/ops/file_plan.h"
#include "solver/ops/ops.h"
#include "solver/ops/work_tree.h"

namespace kiln {

/// The trees that actions read. Views are opened when first asked for and kept.
class FileSources {
 public:
  FileSources(const OpsEnvironment& environment, std::stop_token stop)
      : environment_(environment), stop_(std::move(stop)) {}
  /// `index`: a number of the caller's for `ref`; the same one gives the same view.
  Result<PlanSource> open(int index, TreeRef& ref);
  Result<PlanSource> open_scratch();
  std::span<const TreeView* const> views() const { return views_; }

 private:
  const OpsEnvironment& environment_;
  const std::stop_token stop_;
  std::map<int, int> positions_;
  std::vector<std::unique_ptr<TreeView>> owned_;
  std::vector<const TreeView*> views_;  // owned_, as PlannedEntry::source counts
  std::vector<std::unique_ptr<TreeRef>> scratch_refs_;
};

class FileRun {
 public:
  /// All borrowed for the run. `inputs` are trees.
  FileRun(const OpsEnvironment& environment, const llb::FileOp& op, std::span<const RefPtr> inputs,
          JobContext& job);
  ~FileRun();

  /// Refs by output index.
  Result<std::vector<RefPtr>> apply();
  /// The one result as a layer that was never unpacked; nullopt: this op needs the tree on disk.
  Result<std::optional<RefPtr>> pack();

 private:
  struct Work;
  Result<std::unique_ptr<Work>> start(TreeRef* base);
  Result<std::unique_ptr<Work>> take_or_start(int index);
  Result<TreeRef*> ref_of(int index);
  Result<RefPtr> commit(size_t action);
  Result<PlanOptions> options_of(const llb::FileAction& action);
  Result<PlanSource> source_of(int index);
  Status run_action(Work& work, const llb::FileAction& action);
  Status run_copy(Work& work, const llb::FileAction& action, const llb::CopyAction& copy,
                  const PlanOptions& options);
  Status unpack(Work& work, const llb::CopyAction& copy, const CopyMatch& match,
                const PlanSource& source, const PlanOptions& options);
  Status flush(Work& work);
  bool is_chain() const;
  Result<bool> plan_all(PlannedTree& plan);
  size_t uses_of(size_t action) const;

  const OpsEnvironment& environment_;
  const llb::FileOp& op_;
  const std::span<const RefPtr> inputs_;
  JobContext& job_;
  FileSources sources_;
  std::vector<std::unique_ptr<Work>> works_;  // by action; null: not run, moved on or committed
  std::vector<RefPtr> committed_;             // by action
};

}  // namespace kiln
