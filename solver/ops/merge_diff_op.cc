#include "solver/ops/merge_diff_op.h"

#include <algorithm>

#include "oci/compression.h"
#include "snapshotter/layer_diff.h"
#include "solver/ops/content_digest.h"
#include "solver/ops/snapshot_ref.h"

namespace kiln {
namespace {

/// Both take all of their inputs by definition.
class LayerOperation : public Operation {
 public:
  explicit LayerOperation(const OpsEnvironment& environment) : environment_(environment) {}
  /// Only asked for where an input has no key of its own (a local directory).
  Result<Digest> content_key(size_t /*input*/, Ref& ref, JobContext& job) override {
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(job.stop));
    return path_digest(*view, "/", job.stop);
  }

 protected:
  Result<std::vector<SnapshotId>> chain_of(Ref& ref, JobContext& job) {
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(ref));
    KILN_TRY_ASSIGN(const auto id, tree->snapshot(job.stop));
    if (!id) return std::vector<SnapshotId>();
    return environment_.snapshotter->chain(*id);
  }

  Result<std::optional<SnapshotId>> restack(std::optional<SnapshotId> base,
                                            std::span<const SnapshotId> layers) {
    for (const SnapshotId& layer : layers) {
      KILN_TRY_ASSIGN(base, environment_.snapshotter->restack(base, layer, *environment_.lease));
    }
    return base;
  }

  std::vector<RefPtr> result(const std::optional<SnapshotId>& id) {
    return {make_snapshot_ref(*environment_.snapshotter, id, environment_.scratch,
                              environment_.clock->now())};
  }

  const OpsEnvironment& environment_;
};

class MergeOperation : public LayerOperation {
 public:
  MergeOperation(const OpsEnvironment& environment, const llb::Vertex& vertex)
      : LayerOperation(environment),
        op_(std::get<llb::MergeOp>(vertex.op)),
        inputs_(vertex.inputs.size()) {}

  Result<CacheMap> cache_map(JobContext& /*job*/) override {
    CacheMap map;
    map.op.add("kind", "merge");
    for (const int input : op_.inputs) map.op.add("input", std::to_string(input));
    map.inputs.resize(inputs_);
    return map;
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> inputs, JobContext& job) override {
    std::optional<SnapshotId> top;
    for (const int input : op_.inputs) {
      if (input == llb::kNoIndex) continue;
      KILN_TRY_ASSIGN(const auto chain, chain_of(*inputs[static_cast<size_t>(input)], job));
      // The first tree is taken as it is, the others' layers are put on top of it.
      if (top) {
        KILN_TRY_ASSIGN(top, restack(top, chain));
      } else if (!chain.empty()) {
        top = chain.back();
      }
    }
    return result(top);
  }

 private:
  const llb::MergeOp op_;
  const size_t inputs_;
};

class DiffOperation : public LayerOperation {
 public:
  DiffOperation(const OpsEnvironment& environment, const llb::Vertex& vertex)
      : LayerOperation(environment),
        op_(std::get<llb::DiffOp>(vertex.op)),
        inputs_(vertex.inputs.size()) {}

  Result<CacheMap> cache_map(JobContext& /*job*/) override {
    CacheMap map;
    map.op.add("kind", "diff");
    map.op.add("lower", std::to_string(op_.lower));
    map.op.add("upper", std::to_string(op_.upper));
    map.inputs.resize(inputs_);
    return map;
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> inputs, JobContext& job) override {
    KILN_TRY_ASSIGN(const auto lower, chain_at(inputs, op_.lower, job));
    KILN_TRY_ASSIGN(const auto upper, chain_at(inputs, op_.upper, job));
    const bool is_ancestor =
        lower.size() <= upper.size() && std::equal(lower.begin(), lower.end(), upper.begin());
    if (is_ancestor) {
      KILN_TRY_ASSIGN(const auto top,
                      restack(std::nullopt, std::span(upper).subspan(lower.size())));
      return result(top);
    }
    KILN_TRY_ASSIGN(const auto top, compare(inputs, job));
    return result(top);
  }

 private:
  Result<std::vector<SnapshotId>> chain_at(std::span<const RefPtr> inputs, int index,
                                           JobContext& job) {
    if (index == llb::kNoIndex) return std::vector<SnapshotId>();
    return chain_of(*inputs[static_cast<size_t>(index)], job);
  }

  Result<std::unique_ptr<TreeView>> view_at(std::span<const RefPtr> inputs, int index,
                                            JobContext& job) {
    if (index == llb::kNoIndex)
      return EmptyRef(environment_.scratch, environment_.clock->now()).open(job.stop);
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*inputs[static_cast<size_t>(index)]));
    return tree->open(job.stop);
  }

  /// Trees without a common chain: entry by entry.
  Result<std::optional<SnapshotId>> compare(std::span<const RefPtr> inputs, JobContext& job) {
    KILN_TRY_ASSIGN(const auto lower, view_at(inputs, op_.lower, job));
    KILN_TRY_ASSIGN(const auto upper, view_at(inputs, op_.upper, job));
    KILN_TRY_ASSIGN(auto layer, oci::LayerWriter::create(*environment_.content, *environment_.lease,
                                                         environment_.layer_compression, job.stop));
    KILN_TRY(write_tree_diff(&lower->root(), upper->root(), *layer, job.stop));
    KILN_TRY_ASSIGN(const oci::LayerBlob blob, layer->finish());
    KILN_TRY_ASSIGN(SnapshotId id,
                    environment_.snapshotter->add_layer(std::nullopt, blob, *environment_.lease));
    return id;
  }

  const llb::DiffOp op_;
  const size_t inputs_;
};

Status check_index(int index, size_t inputs, std::string_view what) {
  if (index >= llb::kNoIndex && index < static_cast<int>(inputs)) return {};
  return fail(Code::kInvalidArgument, std::string(what) + " has no input " + std::to_string(index));
}

}  // namespace

Result<std::unique_ptr<Operation>> make_merge_op(const OpsEnvironment& environment,
                                                 const llb::Vertex& vertex) {
  for (const int input : std::get<llb::MergeOp>(vertex.op).inputs)
    KILN_TRY(check_index(input, vertex.inputs.size(), "merge"));
  return std::make_unique<MergeOperation>(environment, vertex);
}

Result<std::unique_ptr<Operation>> make_diff_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex) {
  const auto& op = std::get<llb::DiffOp>(vertex.op);
  KILN_TRY(check_index(op.lower, vertex.inputs.size(), "diff"));
  KILN_TRY(check_index(op.upper, vertex.inputs.size(), "diff"));
  return std::make_unique<DiffOperation>(environment, vertex);
}

}  // namespace kiln
