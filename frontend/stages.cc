#include "frontend/stages.h"

#include "base/strings.h"

#include <algorithm>
#include <utility>

namespace kiln::frontend {
namespace {

/// Of a --mount, before its values are expanded: "from" is never expanded.
struct MountSource {
  std::string type = "bind", from;
};

Result<MountSource> mount_source(const std::string& csv) {
  KILN_TRY_ASSIGN(const std::vector<std::string> fields, parse_csv(csv));
  MountSource out;
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = to_lower(field.substr(0, equals));
    if (key == "type") out.type = to_lower(field.substr(equals + 1));
    if (key == "from") out.from = field.substr(equals + 1);
  }
  return out;
}

enum class Mark : uint8_t { kOpen, kDone };

/// Depth first; the depth is bounded by the number of stages in one file.
const Stage* find_cycle(const Stage& stage, std::map<const Stage*, Mark>& marks) {
  const auto [place, inserted] = marks.emplace(&stage, Mark::kOpen);
  if (!inserted) return place->second == Mark::kOpen ? &stage : nullptr;
  for (const Stage* dep : stage.deps) {
    if (const Stage* found = find_cycle(*dep, marks)) return found;
  }
  marks[&stage] = Mark::kDone;
  return nullptr;
}

}  // namespace

Stage& StageSet::add(Stage stage) {
  KILN_CHECK(externals_.empty());
  Stage& added = *stages_.emplace_back(std::make_unique<Stage>(std::move(stage)));
  ++declared_;
  // Stage names are lower-case and FROM is not folded: "FROM Build" is an image (checked against
  // BuildKit).
  const auto base = by_name_.find(added.base_name);
  if (base != by_name_.end() && !added.context) added.base = base->second;
  if (!added.name.empty()) by_name_[added.name] = &added;
  return added;
}

Stage& StageSet::external(const std::string& name, const SourceRange& where) {
  if (const auto found = externals_.find(name); found != externals_.end()) return *found->second;
  Stage& added = *stages_.emplace_back(std::make_unique<Stage>());
  added.base_name = name;
  added.where = where;
  added.external = true;
  externals_[name] = &added;
  return added;
}

Stage* StageSet::find(std::string_view name) const {
  const auto found = by_name_.find(to_lower(name));
  return found == by_name_.end() ? nullptr : found->second;
}

std::vector<std::string> StageSet::names() const {
  std::vector<std::string> out;
  for (const auto& stage : stages_) {
    if (!stage->name.empty()) out.push_back(stage->name);
  }
  return out;
}

Status StageSet::link_copy(const std::string& from, const SourceRange& where, Command& command) {
  Stage* source = nullptr;
  if (const Result<int64_t> index = parse_int(from)) {
    if (*index < 0 || static_cast<size_t>(*index) >= declared_) {
      return fail(Code::kInvalidArgument, "invalid stage index " + from);
    }
    source = stages_[static_cast<size_t>(*index)].get();
  } else {
    source = find(from);
  }
  if (source == nullptr) source = &external(from, where);
  command.sources = {source};
  return {};
}

Status StageSet::link_run(const dockerfile::Run& run, const SourceRange& where, Command& command) {
  command.sources.assign(run.mounts.size(), nullptr);
  for (size_t i = 0; i < run.mounts.size(); ++i) {
    KILN_TRY_ASSIGN(const MountSource mount, mount_source(run.mounts[i]));
    if (mount.from.empty() || (mount.type != "bind" && mount.type != "cache")) continue;
    Stage* source = find(mount.from);
    command.sources[i] = source != nullptr ? source : &external(mount.from, where);
  }
  return {};
}

Status StageSet::link(Stage& stage, Command& command) {
  const dockerfile::TypedInstruction& instruction = *command.instruction;
  Status status;
  if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.kind)) {
    if (!copy->from.empty()) status = link_copy(copy->from, instruction.where, command);
  } else if (const auto* run = std::get_if<dockerfile::Run>(&instruction.kind)) {
    status = link_run(*run, instruction.where, command);
  }
  if (!status) return tl::unexpected(status.error().at(instruction.where));
  for (Stage* source : command.sources) {
    const bool known = std::find(stage.deps.begin(), stage.deps.end(), source) != stage.deps.end();
    if (source != nullptr && !known) stage.deps.push_back(source);
  }
  return {};
}

Status StageSet::check_cycles() const {
  std::map<const Stage*, Mark> marks;
  for (const auto& stage : stages_) {
    const Stage* found = find_cycle(*stage, marks);
    if (found == nullptr) continue;
    return tl::unexpected(
        Error(Code::kInvalidArgument, "circular dependency detected on stage: " +
                                          (found->name.empty() ? found->label : found->name))
            .at(found->where)
            .hint("a stage can copy only from stages that do not need it"));
  }
  return {};
}

std::unordered_set<const Stage*> StageSet::reachable(const Stage& target) const {
  std::unordered_set<const Stage*> seen;
  std::vector<const Stage*> open = {&target};
  while (!open.empty()) {
    const Stage* stage = open.back();
    open.pop_back();
    if (!seen.insert(stage).second) continue;
    if (stage->base != nullptr) open.push_back(stage->base);
    open.insert(open.end(), stage->deps.begin(), stage->deps.end());
  }
  return seen;
}

}  // namespace kiln::frontend
