#include "frontend/converter.h"

#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/global_args.h"
#include "frontend/lint/from_checks.h"
#include "frontend/outline_notes.h"
#include "frontend/source_date_epoch.h"

#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

namespace kiln::frontend {
namespace {

using dockerfile::TypedInstruction;
using Needed = std::unordered_set<const Stage*>;

std::string target_name(const FrontendRequest& request,
                        const std::vector<TypedInstruction>& instructions) {
  if (!request.target.empty()) return request.target;
  std::string last;
  for (const TypedInstruction& instruction : instructions) {
    if (const auto* from = std::get_if<dockerfile::From>(&instruction.kind)) last = from->stage;
  }
  return last;
}

std::string wanted_epoch(const Conversion& c) {
  const auto given = c.build_args.find("SOURCE_DATE_EPOCH");
  if (given != c.build_args.end()) return given->second;
  return std::string(c.global_args.get("SOURCE_DATE_EPOCH").value_or(""));
}

/// A number, or nothing where the time of a source is asked for: that is no matter of the text.
Result<std::optional<int64_t>> known_epoch(const Conversion& c) {
  const std::string text = wanted_epoch(c);
  if (text.empty()) return std::optional<int64_t>();
  const Result<int64_t> seconds = parse_source_date_epoch(text);
  if (seconds) return std::optional<int64_t>(*seconds);
  KILN_TRY(find_epoch_source(c, text));
  return std::optional<int64_t>();
}

/// Whoever converts for a build has asked the source before.
Status check_epoch_settled(const Conversion& c) {
  if (c.epoch || wanted_epoch(c).empty()) return {};
  return tl::unexpected(
      Error(Code::kFailedPrecondition,
            "SOURCE_DATE_EPOCH=" + wanted_epoch(c) + ": the time of that source is not known here")
          .hint("give the seconds since 1970"));
}

Result<Stage*> find_target(const Conversion& c) {
  const auto& stages = c.stages.all();
  if (c.request.target.empty()) return stages[c.stages.declared() - 1].get();
  if (Stage* found = c.stages.find(c.request.target)) return found;
  const std::vector<std::string> names = c.stages.names();
  Error error(Code::kNotFound, "target stage \"" + c.request.target + "\" could not be found" +
                                   did_you_mean(c.request.target, names));
  if (names.empty()) return tl::unexpected(error.hint("no stage of this file has a name"));
  return tl::unexpected(error.hint("stages: " + join(names, ", ")));
}

/// Opens base images and adds the triggers they leave, which may name further images, until nothing
/// new comes up.
Result<Needed> resolve_stages(Conversion& c, const Stage& target) {
  for (;;) {
    Needed needed = c.stages.reachable(target);
    const size_t known = c.stages.all().size();
    for (size_t i = 0; i < known; ++i) {
      Stage& stage = *c.stages.all()[i];
      if (needed.contains(&stage)) KILN_TRY(resolve_base(c, stage));
    }
    for (size_t i = 0; i < known; ++i) {
      Stage& stage = *c.stages.all()[i];
      if (needed.contains(&stage)) KILN_TRY(add_triggers(c, stage));
    }
    if (c.stages.reachable(target).size() == needed.size()) return needed;
  }
}

Status convert_stages(Conversion& c, const Needed& needed) {
  KILN_TRY(c.stages.check_cycles());  // triggers may have closed one
  for (const auto& stage : c.stages.all()) {
    if (!needed.contains(stage.get()) || stage->converted) continue;
    if (c.stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    KILN_TRY(start_stage(c, *stage));
    for (const Command& command : stage->commands) {
      KILN_TRY(convert_command(c, *stage, command));
    }
    stage->converted = true;
  }
  return {};
}

std::vector<std::string> unused_args(const Conversion& c) {
  std::vector<std::string> out;
  for (const auto& [key, value] : c.request.build_args) {
    const bool seen = std::find(out.begin(), out.end(), key) != out.end();
    if (!seen && !c.used_args.contains(key) && !is_predefined_arg(key)) out.push_back(key);
  }
  return out;
}

void check_unused(const std::vector<std::string>& unused, Conversion& c) {
  const std::vector<std::string> declared(c.used_args.begin(), c.used_args.end());
  for (const std::string& key : unused) {
    c.linter.report(
        lint::Rule::kUnusedBuildArg, {},
        "build argument '" + key + "' is not used by any ARG" + did_you_mean(key, declared));
  }
}

std::vector<StageInfo> stage_infos(const Conversion& c, const Needed& needed) {
  std::vector<StageInfo> out;
  for (size_t i = 0; i < c.stages.declared(); ++i) {
    const Stage& stage = *c.stages.all()[i];
    out.push_back({stage.name, stage.base_name, stage.where, needed.contains(&stage)});
  }
  return out;
}

std::string finish_config(Conversion& c, Stage& target) {
  for (const auto& [key, value] : c.request.labels) target.config.set_entry("Labels", key, value);
  if (c.request.platform) target.config.set_platform(*c.request.platform);
  return target.config.to_json();
}

/// What was asked for, whatever the last stage was built on; else what its config says.
Platform result_platform(const Conversion& c, const Stage& target) {
  if (c.request.platform) return *c.request.platform;
  Platform of_config = target.config.platform();
  const bool complete = !of_config.os.empty() && !of_config.architecture.empty();
  return complete ? of_config : target.platform;
}

FrontendResult finish(Conversion& c, Stage& target, const Needed& needed) {
  c.contexts.use(target.root, "/");
  c.contexts.finish();
  FrontendResult out;
  out.image_config_json = finish_config(c, target);
  out.base_config_json = target.base_config_json;
  out.stages = stage_infos(c, needed);
  out.target = target.name;
  out.unused_build_args = unused_args(c);
  out.source_date_epoch = c.epoch;
  out.platform = result_platform(c, target);
  check_unused(out.unused_build_args, c);
  out.graph = std::move(c.plan).build(target.root,
                                      {c.request.filename, c.request.dockerfile, "Dockerfile"});
  return out;
}

/// Every stage of the file, and what those need.
Result<Needed> resolve_all(Conversion& c) {
  Needed all;
  for (size_t i = 0; i < c.stages.declared(); ++i) {
    KILN_TRY_ASSIGN(const Needed needed, resolve_stages(c, *c.stages.all()[i]));
    all.insert(needed.begin(), needed.end());
  }
  return all;
}

/// A conversion that has got to know its stages.
struct Started {
  std::unique_ptr<Conversion> conversion;
  Stage* target = nullptr;
};

Result<Started> start(const ConvertInput& input) {
  const FrontendRequest& request = input.request;
  auto c = std::make_unique<Conversion>(request, input.resolver, input.linter, input.stop);
  c->escape = input.escape;
  c->platform = request.platform.value_or(request.build_platform);
  for (const auto& [key, value] : request.build_args) c->build_args[key] = value;
  c->global_args = platform_args(request.build_platform, c->platform,
                                 target_name(request, input.instructions), c->build_args);
  lint::check_default_args(input.instructions, c->global_args, c->escape, c->linter);
  KILN_TRY(collect_stages(*c, input.instructions));
  KILN_TRY_ASSIGN(c->epoch, known_epoch(*c));
  KILN_TRY_ASSIGN(Stage * target, find_target(*c));
  return Started{std::move(c), target};
}

}  // namespace

Result<FrontendResult> convert(const ConvertInput& input) {
  KILN_TRY_ASSIGN(const Started started, start(input));
  Conversion& c = *started.conversion;
  KILN_TRY(check_epoch_settled(c));
  KILN_TRY_ASSIGN(const Needed needed, resolve_stages(c, *started.target));
  KILN_TRY(convert_stages(c, needed));
  return finish(c, *started.target, needed);
}

Status convert_for_checks(const ConvertInput& input) {
  KILN_TRY_ASSIGN(const Started started, start(input));
  Conversion& c = *started.conversion;
  KILN_TRY_ASSIGN(const Needed needed, input.request.target.empty()
                                           ? resolve_all(c)
                                           : resolve_stages(c, *started.target));
  KILN_TRY(convert_stages(c, needed));
  check_unused(unused_args(c), c);
  return {};
}

Result<Outline> convert_for_outline(const ConvertInput& input) {
  KILN_TRY_ASSIGN(const Started started, start(input));
  Conversion& c = *started.conversion;
  KILN_TRY_ASSIGN(const Needed needed, resolve_stages(c, *started.target));
  KILN_TRY(convert_stages(c, needed));
  return make_outline(c, *started.target, input.instructions);
}

Result<std::optional<EpochSource>> convert_for_epoch(const ConvertInput& input) {
  KILN_TRY_ASSIGN(const Started started, start(input));
  const Conversion& c = *started.conversion;
  const std::string text = wanted_epoch(c);
  if (text.empty() || c.epoch) return std::nullopt;
  KILN_TRY_ASSIGN(EpochSource source, find_epoch_source(c, text));
  return std::optional<EpochSource>(std::move(source));
}

}  // namespace kiln::frontend
