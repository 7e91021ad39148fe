#include "solver/ops/file_run.h"

#include <algorithm>

#include "base/strings.h"
#include "oci/compression.h"
#include "snapshotter/layer_apply.h"
#include "solver/ops/archive_sniff.h"
#include "solver/ops/directory_view.h"
#include "solver/ops/file_key.h"
#include "solver/ops/owner.h"
#include "solver/ops/plan_apply.h"
#include "solver/ops/plan_pack.h"
#include "solver/ops/snapshot_ref.h"

namespace kiln {
namespace {

constexpr int kScratchIndex = -2;  // beside llb::kNoIndex, in FileSources

Status plan_simple(PlannedTree& plan, const llb::FileAction& action, const PlanOptions& options) {
  if (const auto* mkdir = std::get_if<llb::MkDirAction>(&action.action))
    return plan_mkdir(plan, *mkdir, options);
  if (const auto* mkfile = std::get_if<llb::MkFileAction>(&action.action))
    return plan_mkfile(plan, *mkfile, options);
  if (const auto* rm = std::get_if<llb::RmAction>(&action.action)) return plan_rm(plan, *rm);
  if (const auto* symlink = std::get_if<llb::SymlinkAction>(&action.action))
    return plan_symlink(plan, *symlink, options);
  return fail(Code::kInternal, "unknown file action");
}

}  // namespace

Result<PlanSource> FileSources::open(int index, TreeRef& ref) {
  if (const auto found = positions_.find(index); found != positions_.end())
    return PlanSource{views_[static_cast<size_t>(found->second)], found->second};
  KILN_TRY_ASSIGN(auto view, ref.open(stop_));
  const int position = static_cast<int>(views_.size());
  views_.push_back(view.get());
  owned_.push_back(std::move(view));
  positions_[index] = position;
  return PlanSource{views_.back(), position};
}

Result<PlanSource> FileSources::open_scratch() {
  scratch_refs_.push_back(
      std::make_unique<EmptyRef>(environment_.scratch, environment_.clock->now()));
  return open(kScratchIndex, *scratch_refs_.back());
}

struct FileRun::Work {
  std::unique_ptr<WorkTree> tree;
  std::optional<DirectoryView> view;  // of tree
  std::optional<PlannedTree> plan;    // over view
};

FileRun::FileRun(const OpsEnvironment& environment, const llb::FileOp& op,
                 std::span<const RefPtr> inputs, JobContext& job)
    : environment_(environment),
      op_(op),
      inputs_(inputs),
      job_(job),
      sources_(environment, job.stop),
      works_(op.actions.size()),
      committed_(op.actions.size()) {}

FileRun::~FileRun() = default;

Result<std::unique_ptr<FileRun::Work>> FileRun::start(TreeRef* base) {
  auto work = std::make_unique<Work>();
  KILN_TRY_ASSIGN(work->tree, WorkTree::create(environment_, base, job_.stop));
  KILN_TRY_ASSIGN(Root root, work->tree->root());
  work->view.emplace(std::move(root));
  work->plan.emplace(&*work->view);
  return work;
}

size_t FileRun::uses_of(size_t action) const {
  const int index = static_cast<int>(inputs_.size() + action);
  size_t uses = op_.actions[action].output == llb::kNoIndex ? 0 : 1;
  for (const llb::FileAction& later : op_.actions) {
    uses += later.input == index ? 1U : 0U;
    uses += later.secondary_input == index ? 1U : 0U;
    if (const auto* owner = owner_of(later)) {
      const std::vector<int> looked_up = inputs_of_owner(*owner);
      uses += static_cast<size_t>(std::count(looked_up.begin(), looked_up.end(), index));
    }
  }
  return uses;
}

/// The result of an earlier action is worked on in place if nobody else wants it as it is.
Result<std::unique_ptr<FileRun::Work>> FileRun::take_or_start(int index) {
  if (index == llb::kNoIndex) return start(nullptr);
  const size_t position = static_cast<size_t>(index);
  if (position >= inputs_.size()) {
    const size_t action = position - inputs_.size();
    if (works_[action] && uses_of(action) == 1) return std::move(works_[action]);
  }
  KILN_TRY_ASSIGN(TreeRef * base, ref_of(index));
  return start(base);
}

Result<TreeRef*> FileRun::ref_of(int index) {
  const size_t position = static_cast<size_t>(index);
  if (position < inputs_.size()) return as_tree(*inputs_[position]);
  KILN_TRY_ASSIGN(const RefPtr ref, commit(position - inputs_.size()));
  return as_tree(*ref);
}

Result<RefPtr> FileRun::commit(size_t action) {
  if (committed_[action]) return committed_[action];
  std::unique_ptr<Work> work = std::move(works_[action]);
  if (!work) return fail(Code::kInternal, "a file action's tree was used up");
  KILN_TRY(flush(*work));
  work->plan.reset();
  work->view.reset();
  KILN_TRY_ASSIGN(committed_[action], work->tree->commit());
  return committed_[action];
}

Status FileRun::flush(Work& work) {
  KILN_TRY(plan_apply(*work.plan, sources_.views(), work.view->root(), job_.stop));
  work.plan.emplace(&*work.view);
  return {};
}

Result<PlanSource> FileRun::source_of(int index) {
  if (index == llb::kNoIndex) return sources_.open_scratch();
  KILN_TRY_ASSIGN(TreeRef * ref, ref_of(index));
  return sources_.open(index, *ref);
}

Result<PlanOptions> FileRun::options_of(const llb::FileAction& action) {
  PlanOptions options;
  options.source_date_epoch = environment_.source_date_epoch;
  const auto* owner = owner_of(action);
  if (owner == nullptr) return options;
  const TreeOfInput tree = [this](int index) -> Result<const TreeView*> {
    KILN_TRY_ASSIGN(const PlanSource source, source_of(index));
    return source.view;
  };
  KILN_TRY_ASSIGN(options.owner, resolve_owner(*owner, tree));
  return options;
}

Status FileRun::run_action(Work& work, const llb::FileAction& action) {
  KILN_TRY_ASSIGN(const PlanOptions options, options_of(action));
  if (const auto* copy = std::get_if<llb::CopyAction>(&action.action))
    return run_copy(work, action, *copy, options);
  return plan_simple(*work.plan, action, options);
}

Status FileRun::run_copy(Work& work, const llb::FileAction& action, const llb::CopyAction& copy,
                         const PlanOptions& options) {
  KILN_TRY_ASSIGN(const PlanSource source, source_of(action.secondary_input));
  KILN_TRY_ASSIGN(const auto matches, select_matches(*source.view, copy));
  for (const CopyMatch& match : matches) {
    bool archive = false;
    if (copy.attempt_unpack) {
      KILN_TRY_ASSIGN(archive, is_archive(*source.view, match));
    }
    KILN_TRY(archive ? unpack(work, copy, match, source, options)
                     : plan_copy(*work.plan, copy, match, source, options, job_.stop));
  }
  return {};
}

Status FileRun::unpack(Work& work, const llb::CopyAction& copy, const CopyMatch& match,
                       const PlanSource& source, const PlanOptions& options) {
  KILN_TRY_ASSIGN(const RelPath directory, plan_unpack_directory(*work.plan, copy, options));
  KILN_TRY(flush(work));
  KILN_TRY_ASSIGN(const Root into, work.view->root().sub_root(directory));
  KILN_TRY_ASSIGN(auto archive, open_archive(*source.view, match.path));
  ApplyOptions apply;
  apply.mode = ApplyMode::kArchive;
  if (options.owner) {
    apply.uid = options.owner->uid;
    apply.gid = options.owner->gid;
  }
  auto applied = apply_layer(*archive, into, apply, job_.stop);
  if (!applied)
    return tl::unexpected(applied.error().wrap("unpack " + quote(match.path.absolute())));
  return {};
}

Result<std::vector<RefPtr>> FileRun::apply() {
  std::vector<RefPtr> outputs;
  for (size_t i = 0; i < op_.actions.size(); ++i) {
    const llb::FileAction& action = op_.actions[i];
    KILN_TRY_ASSIGN(works_[i], take_or_start(action.input));
    KILN_TRY(run_action(*works_[i], action));
    if (action.output == llb::kNoIndex) continue;
    const size_t output = static_cast<size_t>(action.output);
    if (outputs.size() <= output) outputs.resize(output + 1);
    KILN_TRY_ASSIGN(outputs[output], commit(i));
  }
  return outputs;
}

/// Every action works on the one before it, and only the last one's result is wanted.
bool FileRun::is_chain() const {
  const int inputs = static_cast<int>(inputs_.size());
  for (size_t i = 0; i < op_.actions.size(); ++i) {
    const llb::FileAction& action = op_.actions[i];
    const bool is_last = i + 1 == op_.actions.size();
    if (i == 0 ? action.input >= inputs : action.input != inputs + static_cast<int>(i) - 1)
      return false;
    if ((action.output == llb::kNoIndex) == is_last) return false;
    if (action.secondary_input >= inputs) return false;
    if (std::holds_alternative<llb::RmAction>(action.action)) return false;
    if (const auto* owner = owner_of(action)) {
      for (const int index : inputs_of_owner(*owner))
        if (index >= inputs) return false;
    }
  }
  return !op_.actions.empty() && op_.actions.back().output == 0;
}

/// False: an archive has to be unpacked, or something of the base must be hidden.
Result<bool> FileRun::plan_all(PlannedTree& plan) {
  for (const llb::FileAction& action : op_.actions) {
    KILN_TRY_ASSIGN(const PlanOptions options, options_of(action));
    const auto* copy = std::get_if<llb::CopyAction>(&action.action);
    if (copy == nullptr) {
      KILN_TRY(plan_simple(plan, action, options));
      continue;
    }
    KILN_TRY_ASSIGN(const PlanSource source, source_of(action.secondary_input));
    KILN_TRY_ASSIGN(const auto matches, select_matches(*source.view, *copy));
    for (const CopyMatch& match : matches) {
      if (copy->attempt_unpack) {
        KILN_TRY_ASSIGN(const bool archive, is_archive(*source.view, match));
        if (archive) return false;
      }
      KILN_TRY(plan_copy(plan, *copy, match, source, options, job_.stop));
    }
  }
  return !plan.hides_base();
}

Result<std::optional<RefPtr>> FileRun::pack() {
  if (!is_chain()) return std::nullopt;
  std::optional<SnapshotId> parent;
  std::unique_ptr<TreeView> base;
  if (const int index = op_.actions.front().input; index != llb::kNoIndex) {
    KILN_TRY_ASSIGN(TreeRef * ref, ref_of(index));
    KILN_TRY_ASSIGN(parent, ref->snapshot(job_.stop));
    if (parent) {
      KILN_TRY_ASSIGN(base, ref->open(job_.stop));
    }
  }
  PlannedTree plan(base.get());
  KILN_TRY_ASSIGN(const bool packable, plan_all(plan));
  if (!packable) return std::nullopt;
  KILN_TRY_ASSIGN(auto layer, oci::LayerWriter::create(*environment_.content, *environment_.lease,
                                                       environment_.layer_compression, job_.stop));
  KILN_TRY(plan_pack(plan, sources_.views(), *layer, job_.stop));
  KILN_TRY_ASSIGN(const oci::LayerBlob blob, layer->finish());
  KILN_TRY_ASSIGN(SnapshotId id,
                  environment_.snapshotter->add_layer(parent, blob, *environment_.lease));
  return std::make_shared<SnapshotRef>(*environment_.snapshotter, std::move(id),
                                       environment_.scratch, environment_.clock->now());
}

}  // namespace kiln
