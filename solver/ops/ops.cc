#include "solver/ops/ops.h"

#include "base/strings.h"
#include "cache/remote_layers.h"
#include "solver/ops/cache_mounts.h"
#include "solver/ops/exec_op.h"
#include "solver/ops/file_op.h"
#include "solver/ops/merge_diff_op.h"
#include "solver/ops/remote_ref.h"
#include "solver/ops/snapshot_ref.h"
#include "solver/ops/source_op.h"

namespace kiln {
namespace {

std::string describe_action(const llb::FileAction& action) {
  if (const auto* copy = std::get_if<llb::CopyAction>(&action.action))
    return "copy " + copy->src + " " + copy->dest;
  if (const auto* mkfile = std::get_if<llb::MkFileAction>(&action.action))
    return "mkfile " + mkfile->path;
  if (const auto* mkdir = std::get_if<llb::MkDirAction>(&action.action))
    return "mkdir " + mkdir->path;
  if (const auto* rm = std::get_if<llb::RmAction>(&action.action)) return "rm " + rm->path;
  const auto& symlink = std::get<llb::SymlinkAction>(action.action);
  return "symlink " + symlink.newpath;
}

std::string describe_op(const llb::SourceOp& op) {
  return without_credentials(op.identifier);
}
std::string describe_op(const llb::ExecOp& op) {
  return join(op.meta.args, " ");
}
std::string describe_op(const llb::FileOp& op) {
  std::vector<std::string> actions;
  for (const llb::FileAction& action : op.actions) actions.push_back(describe_action(action));
  return join(actions, ", ");
}
std::string describe_op(const llb::MergeOp& /*op*/) {
  return "merge";
}
std::string describe_op(const llb::DiffOp& /*op*/) {
  return "diff";
}

Result<std::optional<SnapshotId>> load_snapshot(const OpsEnvironment& environment,
                                                const CacheResult& result) {
  if (result.empty_tree) return std::nullopt;
  if (!result.local_ref.empty()) {
    SnapshotId id{result.local_ref};
    KILN_TRY_ASSIGN(const bool present, environment.snapshotter->touch(id, *environment.lease));
    if (present) return id;
  }
  if (result.layers.empty())
    return fail(Code::kNotFound, "snapshot " + result.local_ref + " is gone");
  // Known by its layers, from another machine or an earlier life: good if the bytes are here.
  return snapshot_of_layers(environment, result);
}

}  // namespace

OpFactory make_ops(const OpsEnvironment& environment) {
  const std::shared_ptr<OpsState> state = make_ops_state();
  const auto caches =
      std::make_shared<CacheMounts>(environment.cache_mount_directory, environment.shared_mounts);
  return [&environment, state,
          caches](const llb::Vertex& vertex) -> Result<std::unique_ptr<Operation>> {
    if (std::holds_alternative<llb::SourceOp>(vertex.op))
      return make_source_op(environment, state, vertex);
    if (std::holds_alternative<llb::ExecOp>(vertex.op))
      return make_exec_op(environment, caches, vertex);
    if (std::holds_alternative<llb::FileOp>(vertex.op)) return make_file_op(environment, vertex);
    if (std::holds_alternative<llb::MergeOp>(vertex.op)) return make_merge_op(environment, vertex);
    return make_diff_op(environment, vertex);
  };
}

ResultLoader make_loader(const OpsEnvironment& environment) {
  return [&environment](const CacheResult& result) -> Result<RefPtr> {
    const auto id = load_snapshot(environment, result);
    if (!id && id.error().code() == Code::kNotFound && environment.remote_layers != nullptr &&
        !result.layers.empty()) {
      KILN_TRY_ASSIGN(const bool elsewhere, environment.remote_layers->can_fetch(result.layers));
      if (elsewhere) return std::make_shared<RemoteRef>(environment, result);
    }
    if (!id) return tl::unexpected(id.error());
    return make_snapshot_ref(*environment.snapshotter, *id, environment.scratch, result.created);
  };
}

std::string describe(const llb::Vertex& vertex) {
  return std::visit([](const auto& op) { return describe_op(op); }, vertex.op);
}

}  // namespace kiln
