#include "base/path.h"
#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/global_args.h"
#include "frontend/lint/from_checks.h"
#include "oci/reference.h"

#include <algorithm>
#include <utility>

namespace kiln::frontend {
namespace {

using dockerfile::TypedInstruction;

/// What people mean when a name is nearly one of these.
const std::vector<std::string>& common_images() {
  static const std::vector<std::string> kNames = {"alpine", "busybox", "centos", "debian",
                                                  "fedora", "golang",  "ubuntu"};
  return kNames;
}

/// FROM's words see the global ARGs only.
Result<dockerfile::Expansion> expand_global(Conversion& c, std::string_view word,
                                            const SourceRange& where,
                                            std::vector<std::string>& undefined) {
  dockerfile::ExpandOptions options;
  options.escape = c.escape;
  Result<dockerfile::Expansion> expansion =
      dockerfile::expand(word, c.global_args.lookup(), options);
  if (!expansion) return tl::unexpected(expansion.error().at(where));
  for (const std::string& name : expansion->undefined) {
    if (c.declared_args.contains(name)) continue;
    undefined.push_back(name);
    std::vector<std::string> known(c.declared_args.begin(), c.declared_args.end());
    for (const auto& [key, value] : c.global_args.items()) known.push_back(key);
    lint::check_from_args(where, {&name, 1}, known, c.linter);
  }
  return expansion;
}

std::string suggestion(const Conversion& c, const std::vector<std::string>& undefined) {
  std::vector<std::string> known;
  for (const auto& [key, value] : c.global_args.items()) known.push_back(key);
  for (const std::string& name : undefined) {
    if (std::string hint = did_you_mean(name, known); !hint.empty()) return hint;
  }
  return "";
}

Result<Platform> parse_from_platform(Conversion& c, const std::string& word,
                                     const SourceRange& where) {
  std::vector<std::string> undefined;
  KILN_TRY_ASSIGN(const dockerfile::Expansion expansion, expand_global(c, word, where, undefined));
  const std::string& text = expansion.text;
  if (text.empty()) {
    return tl::unexpected(Error(Code::kInvalidArgument, "empty platform value from expression " +
                                                            word + suggestion(c, undefined))
                              .at(where));
  }
  lint::check_target_platform(where, word, expansion, c.global_args, c.linter);
  Result<Platform> platform = Platform::parse(text);
  if (platform) return platform;
  return tl::unexpected(Error(Code::kInvalidArgument, "failed to parse platform " + word + ": " +
                                                          platform.error().message() +
                                                          suggestion(c, undefined))
                            .at(where));
}

Status add_global_arg(Conversion& c, const TypedInstruction& instruction,
                      const dockerfile::Arg& arg) {
  for (const dockerfile::Arg::Item& item : arg.items) {
    c.declared_args.insert(item.key);
    const auto given = c.build_args.find(item.key);
    if (given != c.build_args.end()) {
      c.global_args.set(item.key, given->second);
    } else if (item.value) {
      dockerfile::ExpandOptions options;
      options.escape = c.escape;
      const Result<dockerfile::Expansion> value =
          dockerfile::expand(*item.value, c.global_args.lookup(), options);
      if (!value) return tl::unexpected(value.error().at(instruction.where));
      c.global_args.set(item.key, value->text);
    }
  }
  return {};
}

bool is_no_cache(const FrontendRequest& request, const std::string& name) {
  const auto& stages = request.no_cache.stages;
  return request.no_cache.all ||
         std::any_of(stages.begin(), stages.end(),
                     [&name](const std::string& wanted) { return equal_fold(wanted, name); });
}

bool is_step(const TypedInstruction& instruction) {
  return std::holds_alternative<dockerfile::Run>(instruction.kind) ||
         std::holds_alternative<dockerfile::Copy>(instruction.kind) ||
         std::holds_alternative<dockerfile::Add>(instruction.kind) ||
         std::holds_alternative<dockerfile::Workdir>(instruction.kind);
}

Result<Stage*> add_stage(Conversion& c, const TypedInstruction& instruction,
                         const dockerfile::From& from) {
  const SourceRange& where = instruction.where;
  std::vector<std::string> undefined;
  Stage stage;
  stage.name = from.stage;
  stage.where = where;
  stage.from_text = instruction.text;
  KILN_TRY_ASSIGN(dockerfile::Expansion base, expand_global(c, from.base, where, undefined));
  stage.base_name = std::move(base.text);
  if (stage.base_name.empty()) {
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "base name (" + from.base + ") should not be blank" + suggestion(c, undefined))
            .at(where)
            .hint("give the ARG a default, or pass --build-arg"));
  }
  if (!from.platform.empty()) {
    KILN_TRY_ASSIGN(stage.from_platform, parse_from_platform(c, from.platform, where));
  }
  if (!stage.name.empty()) {
    stage.context = c.contexts.find(stage.name, stage.from_platform.value_or(c.platform));
  }
  stage.label = stage.name.empty() ? "stage-" + std::to_string(c.stages.declared()) : stage.name;
  stage.ignore_cache = is_no_cache(c.request, stage.name);
  return &c.stages.add(std::move(stage));
}

void note_args(Conversion& c, const TypedInstruction& instruction) {
  const auto* arg = std::get_if<dockerfile::Arg>(&instruction.kind);
  if (arg == nullptr) return;
  for (const auto& item : arg->items) c.used_args.insert(item.key);
}

void count_steps(Stage& stage) {
  const bool from_image = stage.base == nullptr && stage.base_name != "scratch";
  stage.steps = from_image && !stage.context ? 1 : 0;
  for (const Command& command : stage.commands)
    stage.steps += is_step(*command.instruction) ? 1 : 0;
}

Error not_found(const Conversion& c, const Stage& stage, const Error& error) {
  std::vector<std::string> known = c.stages.names();
  for (const std::string& name : c.images.known_names()) known.push_back(name);
  known.insert(known.end(), common_images().begin(), common_images().end());
  const bool nameless = error.code() == Code::kNotFound || error.code() == Code::kUnavailable ||
                        error.code() == Code::kUnauthenticated ||
                        error.code() == Code::kPermissionDenied;
  const std::string close = nameless ? did_you_mean(stage.base_name, known) : "";
  const Error out(error.code(), stage.base_name + ": " + error.message() + close);
  return error.advice().empty() ? out : out.hint(error.advice());
}

// FROM, unlike --from, tells capitals from small letters.
Error with_stage_in_lower_case(const Conversion& c, const Stage& stage, const Error& error) {
  const std::vector<std::string> names = c.stages.names();
  const std::string lower = to_lower(stage.base_name);
  if (std::find(names.begin(), names.end(), lower) == names.end()) return error;
  return error.hint("FROM names a stage in lower case, as " + quote(lower));
}

llb::Meta from_meta(const Conversion& c, Stage& stage) {
  if (stage.steps > 0) stage.step = 1;
  llb::Meta meta;
  meta.name = step_name(c, stage, Command{}, "FROM " + stage.reference);
  meta.description["com.docker.dockerfile.v1.command"] =
      stage.external ? "FROM " + stage.base_name : stage.from_text;
  meta.where = {stage.where};
  meta.stage = stage.name;
  return meta;
}

Status use_context(Conversion& c, Stage& stage, const NamedContext& context) {
  KILN_TRY_ASSIGN(OpenedContext opened, c.contexts.open(context, stage.platform));
  stage.root = opened.root;
  stage.reference = context.name;
  if (opened.config) {
    stage.config = *std::move(opened.config);
    stage.base_config_json = std::move(opened.config_json);
  } else {
    stage.config = ImageConfig::empty(stage.platform);
  }
  return {};
}

/// Where nobody asked for a platform, a base image of another one that this machine runs decides.
void follow_base(const Conversion& c, Stage& stage) {
  const Platform base = stage.config.platform();
  const bool asked = c.request.platform || stage.from_platform;
  if (!asked && base.os == stage.platform.os &&
      runs_natively(base.architecture, stage.platform.architecture))
    stage.platform = base;
}

Status use_image(Conversion& c, Stage& stage) {
  const Result<oci::Reference> parsed = oci::Reference::parse(stage.base_name);
  if (!parsed) {
    return tl::unexpected(with_stage_in_lower_case(
        c, stage, parsed.error().wrap("failed to parse stage name \"" + stage.base_name + "\"")));
  }
  const Result<ResolvedImage> image = c.images.resolve(parsed->to_string(), stage.platform);
  if (!image) return tl::unexpected(not_found(c, stage, image.error()));
  Result<ImageConfig> config = ImageConfig::parse(image->config_json);
  if (!config) {
    return tl::unexpected(config.error().wrap("read the config of " + stage.base_name));
  }
  stage.config = *std::move(config);
  stage.base_config_json = image->config_json;
  stage.reference = pinned(*image);
  if (!stage.config.has_layers()) return {};  // as good as scratch
  follow_base(c, stage);
  lint::check_base_platform(stage.where, stage.base_name, stage.config.platform(), stage.platform,
                            c.linter);
  stage.image = c.images.source(*image);
  return {};
}

/// Its name says how many steps the stage has, triggers included: so this comes after them.
void add_image(Conversion& c, Stage& stage) {
  if (!stage.image) return;
  llb::Meta meta = from_meta(c, stage);
  stage.root = c.plan.add(*std::move(stage.image), {}, stage.platform, std::move(meta));
  stage.image.reset();
}

Status open_base(Conversion& c, Stage& stage) {
  stage.platform = stage.from_platform.value_or(c.platform);
  if (stage.context) return use_context(c, stage, *stage.context);
  if (stage.base_name == "scratch") {
    stage.platform = c.platform;
    stage.config = ImageConfig::empty(c.platform);
    return {};
  }
  if (const auto context = c.contexts.find(stage.base_name, stage.platform)) {
    return use_context(c, stage, *context);
  }
  return use_image(c, stage);
}

}  // namespace

Status collect_stages(Conversion& c, const std::vector<TypedInstruction>& instructions) {
  Stage* stage = nullptr;
  for (const TypedInstruction& instruction : instructions) {
    note_args(c, instruction);
    if (const auto* from = std::get_if<dockerfile::From>(&instruction.kind)) {
      KILN_TRY_ASSIGN(stage, add_stage(c, instruction, *from));
    } else if (stage != nullptr) {
      stage->commands.push_back({&instruction, false, {}});
    } else if (const auto* arg = std::get_if<dockerfile::Arg>(&instruction.kind)) {
      KILN_TRY(add_global_arg(c, instruction, *arg));
    } else {
      return tl::unexpected(Error(Code::kInvalidArgument, "no build stage in current context")
                                .at(instruction.where)
                                .hint("start with FROM; only ARG may come before it"));
    }
  }
  if (stage == nullptr) {
    return fail(Code::kInvalidArgument, "dockerfile contains no stages to build");
  }
  // Linking may add external stages, which come after those of the file.
  for (size_t i = 0; i < c.stages.declared(); ++i) {
    Stage& declared = *c.stages.all()[i];
    if (declared.context) declared.commands.clear();
    count_steps(declared);
    for (Command& command : declared.commands) KILN_TRY(c.stages.link(declared, command));
  }
  KILN_TRY(c.stages.check_cycles());  // names the stage by its label
  if (c.stages.all().size() == 1) c.stages.all().front()->label = "";
  return {};
}

Status resolve_base(Conversion& c, Stage& stage) {
  if (stage.resolved || stage.base != nullptr) return {};
  stage.resolved = true;
  const Status status = open_base(c, stage);
  if (!status) return tl::unexpected(status.error().at(stage.where));
  if (stage.external || stage.context) {
    add_image(c, stage);
    stage.converted = true;
  }
  return {};
}

Status add_triggers(Conversion& c, Stage& stage) {
  if (stage.triggered || stage.external || stage.context) return {};
  stage.triggered = true;
  std::vector<std::string> texts;
  if (stage.base == nullptr) {
    texts = stage.config.onbuild();
    stage.config.erase("OnBuild");
  } else if (stage.base->context) {
    texts = stage.base->config.onbuild();
  } else {
    for (const Command& command : stage.base->commands) {
      const auto* trigger = std::get_if<dockerfile::Onbuild>(&command.instruction->kind);
      if (trigger != nullptr) texts.push_back(trigger->trigger);
    }
  }
  std::vector<Command> commands;
  for (const std::string& text : texts) {
    Result<TypedInstruction> parsed = dockerfile::parse_trigger(text, c.escape, stage.where);
    if (!parsed) return tl::unexpected(parsed.error().wrap("ONBUILD trigger").at(stage.where));
    c.triggers.push_back(std::make_unique<TypedInstruction>(*std::move(parsed)));
    note_args(c, *c.triggers.back());
    commands.push_back({c.triggers.back().get(), true, {}});
    KILN_TRY(c.stages.link(stage, commands.back()));
    stage.steps += is_step(*c.triggers.back()) ? 1 : 0;
  }
  stage.commands.insert(stage.commands.begin(), commands.begin(), commands.end());
  return {};
}

Status start_stage(Conversion& c, Stage& stage) {
  if (stage.base != nullptr) {
    const Stage& base = *stage.base;
    stage.root = base.root;
    stage.platform = base.platform;
    stage.config = base.config;
    stage.config.erase("OnBuild");
    stage.base_config_json = base.base_config_json;
    stage.reference = base.reference;
    stage.checks.has_workdir = base.checks.has_workdir;
    stage.env = base.env;  // ARGs of the base are in scope (checked against BuildKit)
    stage.args.insert(stage.args.end(), base.args.begin(), base.args.end());
  }
  add_image(c, stage);
  c.contexts.use(stage.root, "/");
  dockerfile::Environment of_image = dockerfile::Environment::from_strings(stage.config.env());
  if (!of_image.get("PATH") && stage.platform.os != "windows") {
    stage.config.set_env("PATH", kDefaultPath);
    of_image.set("PATH", kDefaultPath);
  }
  // ENV of the base wins over its ARGs, and comes after them.
  for (const auto& [key, value] : of_image.items()) {
    stage.env.erase(key);
    stage.env.set(key, value);
  }
  const std::string& directory = stage.config.working_dir();
  stage.cwd = join_path("/", directory);
  if (!directory.empty()) stage.config.set_text("WorkingDir", stage.cwd);
  return {};
}

}  // namespace kiln::frontend
