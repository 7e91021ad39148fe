#include "base/path.h"
#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/run_mount.h"

#include <algorithm>
#include <utility>

namespace kiln::frontend {
namespace {

constexpr char kPipes[] = "/dev/pipes/";

/// An exec op with the roots of its mounts, before inputs have numbers.
struct RunDraft {
  llb::ExecOp op;
  std::vector<std::pair<llb::ExecMount, Root>> mounts;
  std::vector<llb::ExecMount>
      files;  // secrets and sockets: behind all others, as BuildKit writes them
};

std::string absolute_target(const Stage& stage, const std::string& target) {
  return join_path(stage.cwd, target);
}

Root file_in_scratch(Conversion& c, const std::string& name, int mode, const std::string& data) {
  llb::FileOp op{{{llb::kNoIndex, llb::kNoIndex, 0,
                   llb::MkFileAction{join_path("/", name), mode, data, {}, -1}}}};
  return c.plan.add(std::move(op), {}, std::nullopt, internal_meta("preparing inline document"));
}

/// Cache mounts with an owner or a mode start from a directory that has them.
Root cache_directory(Conversion& c, const Root& from, const dockerfile::RunMount& mount) {
  Inputs inputs;
  const int base = inputs.add(from);
  llb::Chown owner;
  owner.user = llb::UserRef{mount.uid.value_or(0), "", llb::kNoIndex};
  owner.group = llb::UserRef{mount.gid.value_or(0), "", llb::kNoIndex};
  const auto mode = static_cast<int>(mount.mode.value_or(0755));
  llb::FileOp op{{{base, llb::kNoIndex, 0, llb::MkDirAction{"/cache", mode, false, owner, -1}}}};
  return c.plan.add(std::move(op), inputs.take(), std::nullopt,
                    internal_meta("setting cache mount permissions"));
}

/// What covers the root file system would hide it all.
Status check_target(const Stage& stage, const dockerfile::RunMount& mount) {
  const bool file = mount.type == llb::MountType::kSecret || mount.type == llb::MountType::kSsh;
  if ((file && mount.target.empty()) || absolute_target(stage, mount.target) != "/") return {};
  return fail(Code::kInvalidArgument, "invalid mount target \"/\"");
}

Result<Root> mount_root(Conversion& c, const Stage& stage, const dockerfile::RunMount& mount,
                        const Stage* source) {
  if (source != nullptr) {
    if (!source->converted) {
      return fail(Code::kInvalidArgument,
                  "cannot mount from stage \"" + mount.from + "\" to \"" + mount.target +
                      "\", stage needs to be defined before current stage \"" + stage.label + "\"");
    }
    c.contexts.use(source->root, mount.source);
    return source->root;
  }
  if (mount.type != llb::MountType::kBind) return Root();
  KILN_TRY_ASSIGN(Root context, c.contexts.main());
  c.contexts.use(context, mount.source);
  return context;
}

std::string cache_id(const Conversion& c, const dockerfile::RunMount& mount,
                     const std::string& target) {
  const auto space = c.build_args.find("BUILDKIT_CACHE_MOUNT_NS");
  return (space == c.build_args.end() ? "" : space->second) + "/" +
         (mount.id.empty() ? target : mount.id);
}

Status add_tree(Conversion& c, const Stage& stage, const dockerfile::RunMount& mount,
                const Stage* source, RunDraft& draft) {
  llb::ExecMount out;
  out.type = mount.type;
  out.dest = absolute_target(stage, mount.target);
  KILN_TRY_ASSIGN(Root root, mount_root(c, stage, mount, source));
  out.read_only = mount.read_only;
  const std::string selector = join_path("/", mount.source);
  if (selector != "/") {
    out.selector = selector;
  } else if (mount.uid || mount.gid || mount.mode) {
    root = cache_directory(c, root, mount);
    out.selector = "/cache";
  }
  if (mount.type == llb::MountType::kCache) {
    out.cache = llb::CacheMountOpt{cache_id(c, mount, out.dest), mount.sharing};
  }
  draft.mounts.emplace_back(std::move(out), root);
  return {};
}

void add_tmpfs(const Stage& stage, const dockerfile::RunMount& mount, RunDraft& draft) {
  llb::ExecMount out;
  out.type = llb::MountType::kTmpfs;
  out.dest = absolute_target(stage, mount.target);
  out.tmpfs_size_bytes = mount.size_bytes;
  draft.mounts.emplace_back(std::move(out), Root());
}

void add_secret(const Stage& stage, const dockerfile::RunMount& mount, RunDraft& draft) {
  if (mount.env) draft.op.secret_env.push_back({mount.id, *mount.env, !mount.required});
  if (mount.target.empty()) return;
  llb::ExecMount out;
  out.type = llb::MountType::kSecret;
  out.dest = absolute_target(stage, mount.target);
  out.secret = llb::SecretMountOpt{mount.id, mount.uid.value_or(0), mount.gid.value_or(0),
                                   mount.mode.value_or(0400), !mount.required};
  draft.files.push_back(std::move(out));
}

/// `number`: of this socket among the step's.
void add_ssh(const Stage& stage, const dockerfile::RunMount& mount, size_t number,
             RunDraft& draft) {
  llb::ExecMount out;
  out.type = llb::MountType::kSsh;
  out.dest = mount.target.empty() ? "/run/buildkit/ssh_agent." + std::to_string(number)
                                  : absolute_target(stage, mount.target);
  out.ssh = llb::SshMountOpt{mount.id.empty() ? "default" : mount.id, mount.uid.value_or(0),
                             mount.gid.value_or(0), mount.mode.value_or(0600), !mount.required};
  draft.files.push_back(std::move(out));
}

/// For the outline.
void note_secret(Stage& stage, const Command& command, const dockerfile::RunMount& mount) {
  if (mount.type != llb::MountType::kSecret && mount.type != llb::MountType::kSsh) return;
  stage.secrets.push_back({mount.type, mount.id.empty() ? "default" : mount.id, mount.required,
                           command.instruction->where});
}

Status add_mounts(Conversion& c, Stage& stage, const Command& command, const dockerfile::Run& run,
                  RunDraft& draft) {
  const auto expander = [&](std::string_view value) {
    return expand_word(c, stage, command, value);
  };
  size_t sockets = 0;
  for (size_t i = 0; i < run.mounts.size(); ++i) {
    KILN_TRY_ASSIGN(const dockerfile::RunMount mount,
                    dockerfile::parse_mount(run.mounts[i], expander));
    KILN_TRY(check_target(stage, mount));
    note_secret(stage, command, mount);
    switch (mount.type) {
      case llb::MountType::kBind:
      case llb::MountType::kCache:
        KILN_TRY(add_tree(c, stage, mount, command.sources.at(i), draft));
        break;
      case llb::MountType::kTmpfs:
        add_tmpfs(stage, mount, draft);
        break;
      case llb::MountType::kSecret:
        add_secret(stage, mount, draft);
        break;
      case llb::MountType::kSsh:
        add_ssh(stage, mount, sockets++, draft);
        break;
    }
  }
  return {};
}

std::optional<llb::ProxyEnv> proxy_env(const Conversion& c) {
  llb::ProxyEnv proxy;
  const std::pair<std::string_view, std::string*> fields[] = {{"http_proxy", &proxy.http_proxy},
                                                              {"https_proxy", &proxy.https_proxy},
                                                              {"ftp_proxy", &proxy.ftp_proxy},
                                                              {"no_proxy", &proxy.no_proxy},
                                                              {"all_proxy", &proxy.all_proxy}};
  bool any = false;
  for (const auto& [key, value] : c.build_args) {
    for (const auto& [name, field] : fields) {
      if (!equal_fold(key, name)) continue;
      *field = value;
      any = true;
    }
  }
  return any ? std::optional(proxy) : std::nullopt;
}

std::vector<std::string> step_env(const Stage& stage, const RunDraft& draft) {
  std::vector<std::string> env = stage.env.to_strings();
  const auto socket =
      std::find_if(draft.files.begin(), draft.files.end(),
                   [](const llb::ExecMount& mount) { return mount.type == llb::MountType::kSsh; });
  if (socket != draft.files.end() && !stage.env.get("SSH_AUTH_SOCK")) {
    env.push_back("SSH_AUTH_SOCK=" + socket->dest);
  }
  return env;
}

llb::ExecMeta exec_meta(const Conversion& c, const Stage& stage, std::vector<std::string> args,
                        const RunDraft& draft) {
  const FrontendRequest& request = c.request;
  const auto hostname = c.build_args.find("BUILDKIT_SANDBOX_HOSTNAME");
  llb::ExecMeta meta;
  meta.args = std::move(args);
  meta.env = step_env(stage, draft);
  meta.cwd = stage.cwd;
  meta.user = stage.config.user();
  meta.proxy_env = proxy_env(c);
  meta.extra_hosts = request.extra_hosts;
  meta.hostname = hostname == c.build_args.end() ? request.hostname : hostname->second;
  meta.ulimits = request.ulimits;
  meta.cgroup_parent = request.cgroup_parent;
  meta.remove_mount_stubs_recursive = true;
  return meta;
}

/// Mounts in order of their targets: a mount below another must come after it.
llb::Output add_exec(Conversion& c, Stage& stage, RunDraft draft, llb::Meta meta) {
  std::stable_sort(draft.mounts.begin(), draft.mounts.end(),
                   [](const auto& a, const auto& b) { return a.first.dest < b.first.dest; });
  Inputs inputs;
  for (auto& [mount, root] : draft.mounts) {
    mount.input = inputs.add(root);
    draft.op.mounts.push_back(std::move(mount));
  }
  for (llb::ExecMount& mount : draft.files) draft.op.mounts.push_back(std::move(mount));
  return c.plan.add(std::move(draft.op), inputs.take(), stage.platform, std::move(meta));
}

/// "|2 A=1 B=2 /bin/sh -c make": the arguments in scope are part of what was run.
std::string history_text(const Stage& stage, const std::vector<std::string>& args) {
  std::vector<std::string> words;
  std::map<std::string, size_t> places;
  for (const BuildArg& arg : stage.args) {
    const auto live = stage.env.get(arg.key);
    const std::string text =
        arg.key + "=" +
        without_credentials(live ? *live : std::string_view(arg.value ? *arg.value : ""));
    const auto [place, inserted] = places.emplace(arg.key, words.size());
    if (inserted) {
      words.push_back(text);
    } else {
      words[place->second] = text;
    }
  }
  if (!words.empty()) words.insert(words.begin(), "|" + std::to_string(words.size()));
  words.insert(words.end(), args.begin(), args.end());
  return join(words, " ");
}

std::string summary(const dockerfile::RunScript& script) {
  const std::string_view body = trim(script.text);
  const size_t end = body.find('\n');
  std::string line(body.substr(0, end));
  if (line.ends_with('\r')) line.pop_back();
  return " (" + line + (end == std::string_view::npos ? "" : "...") + ")";
}

/// What is executed; a script file becomes a mount of `draft`.
std::vector<std::string> command_line(Conversion& c, const Stage& stage,
                                      const dockerfile::RunScript& script, RunDraft& draft) {
  using Kind = dockerfile::RunScript::Kind;
  if (script.kind == Kind::kExec) return script.argv;
  if (script.kind == Kind::kShell) return with_shell(stage, script.text);
  llb::ExecMount mount;
  mount.dest = kPipes;
  mount.read_only = true;
  mount.selector = "/";
  draft.mounts.emplace_back(std::move(mount),
                            file_in_scratch(c, script.file_name, 0755, script.text));
  // Through SHELL all the same: it is what BuildKit does, and what history shows.
  return with_shell(stage, kPipes + script.file_name);
}

/// A heredoc that is the whole command is summed up in the step's name.
bool is_single_heredoc(const dockerfile::CommandLine& command,
                       const dockerfile::RunScript& script) {
  if (command.heredocs.size() != 1) return false;
  return script.kind == dockerfile::RunScript::Kind::kFile ||
         script.text == command.heredocs.front().content();
}

}  // namespace

Status convert_run(Conversion& c, Stage& stage, const Command& command,
                   const dockerfile::Run& run) {
  RunDraft draft;
  const dockerfile::RunScript script = dockerfile::run_script(run.command);
  const std::vector<std::string> args = command_line(c, stage, script, draft);
  llb::ExecMount root;
  root.output = 0;
  draft.mounts.emplace_back(std::move(root), stage.root);
  KILN_TRY(add_mounts(c, stage, command, run, draft));
  if (args.empty()) return fail(Code::kInvalidArgument, "RUN has no command");

  draft.op.meta = exec_meta(c, stage, args, draft);
  draft.op.network = run.network == llb::NetMode::kSandbox ? c.request.network : run.network;
  draft.op.security = run.security;
  for (const dockerfile::Device& device : run.devices)
    draft.op.cdi_devices.push_back({device.name, !device.required});
  ++stage.step;
  std::string text = step_text(c, stage, command);
  if (is_single_heredoc(run.command, script)) text += summary(script);
  llb::Meta meta = step_meta(stage, command, step_name(c, stage, command, text));
  meta.ignore_cache = stage.ignore_cache;
  if (c.request.resources != llb::Resources{}) meta.resources = c.request.resources;
  stage.root = add_exec(c, stage, std::move(draft), std::move(meta));
  add_history(c, stage, "RUN " + history_text(stage, args) + " # buildkit", Layer::kYes);
  return {};
}

}  // namespace kiln::frontend
