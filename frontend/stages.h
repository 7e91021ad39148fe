// The stages of a Dockerfile and how they depend on one another: which are built on which, which
// copy from which, and what the target needs (DOCKERFILE.md A.8, C21).
#pragma once

#include "base/platform.h"
#include "base/result.h"
#include "frontend/contexts.h"
#include "frontend/environment.h"
#include "frontend/image_config.h"
#include "frontend/instructions.h"
#include "frontend/lint/stage_checks.h"
#include "frontend/plan.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace kiln::frontend {

struct Stage;

/// An instruction of a stage, or a trigger that its base left for it.
struct Command {
  const dockerfile::TypedInstruction* instruction = nullptr;
  bool on_build = false;
  /// COPY --from: one or none. RUN: one for each mount, null for those without "from".
  std::vector<Stage*> sources;
};

/// An ARG in scope: what history lists after "|N".
struct BuildArg {
  std::string key;
  std::optional<std::string> value;
};

/// A secret or an SSH socket that a RUN of the stage may have.
struct SecretUse {
  llb::MountType type = llb::MountType::kSecret;  // or kSsh
  std::string id;
  bool required = false;
  SourceRange where;
};

/// A stage of the file, or an image or context that only a --from names ("external").
struct Stage {
  // As written.
  std::string name;       // lower-case; "" without AS
  std::string base_name;  // FROM's, expanded
  std::string from_text;  // FROM's line
  SourceRange where;
  std::optional<Platform> from_platform;  // --platform
  std::optional<NamedContext> context;    // replaces the stage
  bool external = false;
  // As linked.
  std::string label;  // in step names: the name, "stage-N", or "" if it is the only one
  Stage* base = nullptr;
  std::vector<Command> commands;
  std::vector<Stage*> deps;  // what commands read
  int steps = 0;             // that have a number in step names
  bool ignore_cache = false;
  // As converted so far.
  bool resolved = false;   // its base image or context is open
  bool triggered = false;  // its base's triggers are among the commands
  bool converted = false;
  std::string reference;               // of the base image, with digest
  std::optional<llb::SourceOp> image;  // its vertex, until that is added
  Platform platform;
  Root root;
  dockerfile::Environment env;
  std::string cwd = "/";
  ImageConfig config;
  std::optional<std::string> base_config_json;
  std::vector<BuildArg> args;
  bool cmd_set = false;  // by this stage itself
  lint::StageMemory checks;
  std::vector<SecretUse> secrets;
  int step = 0;
};

class StageSet {
 public:
  /// A stage of the file: its base is looked up among those added before, its name is known from
  /// then on.
  Stage& add(Stage stage);
  /// The stage for an image or context that a --from names; one for each name.
  Stage& external(const std::string& name, const SourceRange& where);

  Stage* find(std::string_view name) const;  // any case; nullptr
  /// Every stage: those of the file in order, then the external ones.
  const std::vector<std::unique_ptr<Stage>>& all() const { return stages_; }
  size_t declared() const { return declared_; }
  std::vector<std::string> names() const;

  /// Finds what the command's --from name. kInvalidArgument: a stage number that does not exist.
  Status link(Stage& stage, Command& command);
  /// kInvalidArgument: "circular dependency detected on stage: x".
  Status check_cycles() const;
  /// `target` and all that it needs.
  std::unordered_set<const Stage*> reachable(const Stage& target) const;

 private:
  Status link_copy(const std::string& from, const SourceRange& where, Command& command);
  Status link_run(const dockerfile::Run& run, const SourceRange& where, Command& command);

  std::vector<std::unique_ptr<Stage>> stages_;
  size_t declared_ = 0;
  std::map<std::string, Stage*, std::less<>> by_name_;  // lower-case
  std::map<std::string, Stage*> externals_;
};

}  // namespace kiln::frontend
