// What one run of the converter shares, and what the convert_*.cc files need of each other.
// Internal to the frontend; converter.h is the way in.
#pragma once

#include "frontend/contexts.h"
#include "frontend/frontend.h"
#include "frontend/images.h"
#include "frontend/instructions.h"
#include "frontend/lint/linter.h"
#include "frontend/lint/stage_checks.h"
#include "frontend/plan.h"
#include "frontend/shell_lex.h"
#include "frontend/stages.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::frontend {

struct Conversion {
  Conversion(const FrontendRequest& wanted, ImageConfigResolver& resolver, lint::Linter& checks,
             std::stop_token stopper)
      : request(wanted),
        linter(checks),
        stop(std::move(stopper)),
        images(resolver, wanted.resolve_mode, stop),
        contexts(wanted, plan, images),
        ignored(wanted.context.exclude_patterns) {}
  Conversion(const Conversion&) = delete;
  Conversion& operator=(const Conversion&) = delete;

  const FrontendRequest& request;
  lint::Linter& linter;
  std::stop_token stop;
  char escape = '\\';
  Platform platform;                              // the target's
  std::map<std::string, std::string> build_args;  // the last of equal keys
  dockerfile::Environment global_args;
  std::set<std::string> declared_args;  // keys of ARGs before the first FROM, with a value or not
  std::optional<int64_t> epoch;         // SOURCE_DATE_EPOCH, seconds
  Plan plan;
  Images images;
  Contexts contexts;
  StageSet stages;
  lint::IgnoredSources ignored;
  std::set<std::string> used_args;  // keys that some ARG of the file names
  std::vector<std::unique_ptr<dockerfile::TypedInstruction>>
      triggers;  // what Commands of ONBUILD point to
};

// ---- convert_from.cc: ARG before FROM, FROM, ONBUILD ----
/// Sorts a file's instructions into `c.stages`, with FROM and the global ARGs expanded.
/// `instructions` is borrowed.
Status collect_stages(Conversion& c, const std::vector<dockerfile::TypedInstruction>& instructions);
/// Opens what a stage starts from: an image, a context or nothing.
Status resolve_base(Conversion& c, Stage& stage);
/// Puts the triggers of the stage's base before its own commands.
Status add_triggers(Conversion& c, Stage& stage);
/// Environment, directory and user that the stage starts with.
Status start_stage(Conversion& c, Stage& stage);

// ---- convert_meta.cc: any instruction; errors are placed at it ----
Status convert_command(Conversion& c, Stage& stage, const Command& command);

// ---- the instructions that make a layer ----
Status convert_run(Conversion& c, Stage& stage, const Command& command, const dockerfile::Run& run);
Status convert_copy(Conversion& c, Stage& stage, const Command& command,
                    const dockerfile::Copy& copy);
Status convert_add(Conversion& c, Stage& stage, const Command& command, const dockerfile::Add& add);
Status convert_workdir(Conversion& c, Stage& stage, const Command& command,
                       const dockerfile::Workdir& workdir);

// ---- step.cc: what all of them need ----
/// Expands a word of an instruction; what is undefined becomes a warning at the instruction.
Result<std::string> expand_word(Conversion& c, const Stage& stage, const Command& command,
                                std::string_view word,
                                const dockerfile::ExpandOptions& options = {});
Result<std::vector<std::string>> expand_words(Conversion& c, const Stage& stage,
                                              const Command& command,
                                              const std::vector<std::string>& words);
void warn_undefined(Conversion& c, const Stage& stage, const Command& command,
                    const std::vector<std::string>& names);
/// "[build 2/4] " before `text`; the number is the stage's current step.
std::string step_name(const Conversion& c, const Stage& stage, const Command& command,
                      const std::string& text);
/// The instruction's text for a step name: variables expanded, the name in upper case.
std::string step_text(const Conversion& c, const Stage& stage, const Command& command);
/// Name, place, command text, stage; `name` from step_name.
llb::Meta step_meta(const Stage& stage, const Command& command, std::string name);
/// For what no single instruction asked for: "[internal] " and the text.
llb::Meta internal_meta(const std::string& text);
void add_history(Conversion& c, Stage& stage, std::string created_by, Layer layer);
/// SOURCE_DATE_EPOCH in ns, or -1.
int64_t file_timestamp(const Conversion& c);
std::vector<std::string> with_shell(const Stage& stage, const std::string& text);

}  // namespace kiln::frontend
