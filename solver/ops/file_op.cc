#include "solver/ops/file_op.h"

#include "solver/ops/content_digest.h"
#include "solver/ops/file_key.h"
#include "solver/ops/file_run.h"
#include "solver/ops/plan_apply.h"

namespace kiln {
namespace {

class FileOperation : public Operation {
 public:
  FileOperation(const OpsEnvironment& environment, const llb::Vertex& vertex)
      : environment_(environment),
        op_(std::get<llb::FileOp>(vertex.op)),
        inputs_(vertex.inputs.size()),
        uses_(input_uses(op_, inputs_)) {}

  Result<CacheMap> cache_map(JobContext& /*job*/) override {
    CacheMap map;
    map.op = file_key(op_, environment_.source_date_epoch);
    for (const FileInputUse& use : uses_) map.inputs.push_back({"", !use.is_base});
    return map;
  }

  Result<Digest> content_key(size_t input, Ref& ref, JobContext& job) override {
    const FileInputUse& use = uses_.at(input);
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(job.stop));
    Hasher hasher;
    if (use.is_base) {  // only asked for where it has no key of its own
      KILN_TRY_ASSIGN(const Digest all, path_digest(*view, "/", job.stop));
      hasher.update(all.bytes());
    }
    if (!use.copies.empty()) {
      KILN_TRY_ASSIGN(const Digest copied, selection_digest(*view, use.copies, job.stop));
      hasher.update(copied.bytes());
    }
    if (use.has_accounts) {
      for (const char* file : {"passwd", "group"}) {
        KILN_TRY_ASSIGN(const std::string text, read_accounts(*view, file));
        hasher.update(Digest::of(text).bytes());
      }
    }
    return hasher.finish();
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> inputs, JobContext& job) override {
    FileRun run(environment_, op_, inputs, job);
    if (job.use == OutputUse::kTargetOnly && environment_.pack_targets == PackTargets::kYes) {
      KILN_TRY_ASSIGN(auto packed, run.pack());
      if (packed) return std::vector<RefPtr>{*std::move(packed)};
    }
    return run.apply();
  }

 private:
  const OpsEnvironment& environment_;
  const llb::FileOp op_;
  const size_t inputs_;
  const std::vector<FileInputUse> uses_;  // points into op_
};

Status check_indexes(const llb::FileOp& op, size_t inputs) {
  for (size_t i = 0; i < op.actions.size(); ++i) {
    const llb::FileAction& action = op.actions[i];
    const int limit = static_cast<int>(inputs + i);
    for (const int index : {action.input, action.secondary_input})
      if (index < llb::kNoIndex || index >= limit)
        return fail(Code::kInvalidArgument,
                    "file action " + std::to_string(i) + " has no input " + std::to_string(index));
    if (action.output < llb::kNoIndex || action.output > static_cast<int>(op.actions.size()))
      return fail(Code::kInvalidArgument, "file action " + std::to_string(i) +
                                              " has the impossible output " +
                                              std::to_string(action.output));
  }
  if (op.actions.empty()) return fail(Code::kInvalidArgument, "file op without actions");
  return {};
}

}  // namespace

Result<std::unique_ptr<Operation>> make_file_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex) {
  KILN_TRY(check_indexes(std::get<llb::FileOp>(vertex.op), vertex.inputs.size()));
  return std::make_unique<FileOperation>(environment, vertex);
}

Result<std::optional<SnapshotId>> materialize_view(const OpsEnvironment& environment,
                                                   const TreeView& view, std::stop_token stop) {
  KILN_TRY_ASSIGN(auto tree, WorkTree::create(environment, nullptr, stop));
  llb::CopyAction all;
  all.src = "/";
  all.dest = "/";
  all.dir_copy_contents = true;
  all.create_dest_path = true;
  KILN_TRY_ASSIGN(const auto matches, select_matches(view, all));
  PlannedTree plan(nullptr);
  for (const CopyMatch& match : matches)
    KILN_TRY(plan_copy(plan, all, match, PlanSource{&view, 0}, PlanOptions{}, stop));
  const TreeView* sources[] = {&view};
  {
    KILN_TRY_ASSIGN(const Root root, tree->root());
    KILN_TRY(plan_apply(plan, sources, root, stop));
  }
  KILN_TRY_ASSIGN(const RefPtr ref, tree->commit());
  KILN_TRY_ASSIGN(TreeRef * made, as_tree(*ref));
  return made->snapshot(stop);
}

}  // namespace kiln
