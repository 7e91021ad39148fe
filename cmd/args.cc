#include "cmd/args.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "base/strings.h"
#include "cmd/args_errors.h"
#include "cmd/args_images.h"
#include "cmd/args_registry.h"
#include "cmd/args_words.h"

namespace kiln::cmd {
namespace {

const std::vector<std::string> kProgressModes = {"auto",  "tty",  "plain",
                                                 "quiet", "none", "rawjson"};
constexpr const char* kFooter = "\nRun 'kiln COMMAND --help' for a command's options.";

std::string environment_or(const Environment& environment, const std::string& name,
                           const std::string& otherwise) {
  const auto it = environment.find(name);
  return it == environment.end() || it->second.empty() ? otherwise : it->second;
}

std::string default_root(const Environment& environment) {
  if (::geteuid() == 0) return "/var/lib/kiln";
  const std::string data = environment_or(environment, "XDG_DATA_HOME", "");
  return data.empty() ? environment_or(environment, "HOME", "") + "/.local/share/kiln"
                      : data + "/kiln";
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return CLI::Validator([words](const std::string& word) { return not_among(word, words); }, "");
}

// Everything that parsing writes to; `chosen` is set by the callback of the subcommand that was
// given.
struct Parser {
  CLI::App app{"kiln builds OCI images from Dockerfiles.", "kiln"};
  GlobalOptions global;
  BuildOptions build;
  ImageCommandOptions images;
  ServeOptions serve;
  FsckOptions fsck;
  DumpLlbOptions dump;
  AstOptions ast;
  RegistryOptions registry;
  std::optional<Command> chosen;
};

void add_globals(Parser& p, const Environment& environment) {
  p.global.root = environment_or(environment, "KILN_ROOT", default_root(environment));
  p.app
      .add_option("--root", p.global.root,
                  "Directory of images, cache and snapshots (default: $KILN_ROOT, /var/lib/kiln)")
      ->type_name("DIR")
      ->check(CLI::Validator([](std::string& dir) { return dir.empty() ? "is empty" : ""; }, ""));
  p.global.snapshotter = environment_or(environment, "KILN_SNAPSHOTTER", "auto");
  p.app
      .add_option("--snapshotter", p.global.snapshotter,
                  "How file trees are kept: auto, overlay, copy")
      ->check(one_of({"auto", "overlay", "copy"}));
  p.global.oci_runtime = environment_or(environment, "KILN_OCI_RUNTIME", "crun");
  p.app
      .add_option("--oci-runtime", p.global.oci_runtime,
                  "OCI runtime for RUN: crun, runc or a path")
      ->type_name("PATH");
  p.app.add_flag("-D,--debug", p.global.debug, "Say more: what warnings mean, and where");
  p.app.set_version_flag("--version", std::string("kiln ") + KILN_VERSION);
}

void add_resources(CLI::App& command, ResourceOptions& r) {
  command.add_option("-m,--memory", r.memory, "Memory limit of each RUN")->type_name("BYTES");
  command.add_option("--memory-swap", r.memory_swap, "Memory plus swap limit; -1: unlimited swap")
      ->type_name("BYTES");
  command.add_option("-c,--cpu-shares", r.cpu_shares, "CPU shares (relative weight)")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--cpu-quota", r.cpu_quota_us, "CPU time in a period, microseconds");
  command.add_option("--cpu-period", r.cpu_period_us, "Length of the period, microseconds")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--cpuset-cpus", r.cpuset_cpus, "CPUs that RUN may use (0-3, 0,1)");
  command.add_option("--cpuset-mems", r.cpuset_mems, "Memory nodes that RUN may use");
  command.add_option("--shm-size", r.shm_size, "Size of /dev/shm (default 64m)")
      ->type_name("BYTES");
}

// One value an option, as docker: `-t a -t b`, never `-t a b`.
template <class T>
CLI::Option* add_many(CLI::App& command, const std::string& names, T& values,
                      const std::string& text) {
  return command.add_option(names, values, text)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

// Options that decide which graph a Dockerfile becomes: shared by build and debug dump-llb.
void add_graph_options(CLI::App& command, BuildOptions& b) {
  command.add_option("context", b.context,
                     "PATH, git or http(s) URL, or - for a tar or a Dockerfile on standard input");
  command.add_option("-f,--file", b.file,
                     "Dockerfile (default: PATH/Dockerfile; -: standard input; or a URL)");
  command.add_option("--target", b.target, "Stage to build (default: the last)");
  add_many(command, "--build-arg", b.build_args,
           "Build argument NAME=VALUE; NAME alone takes it from the environment");
  add_many(
      command, "--build-context", b.build_contexts,
      "Further context NAME=VALUE: a directory, docker-image://, oci-layout://, a git or http(s) "
      "URL");
  add_many(command, "--label", b.labels, "Label of the image NAME=VALUE");
  add_many(command, "--platform", b.platforms,
           "Platforms of the result: P[,P...] (default: the host's)")
      ->delimiter(',');
  command.add_option("--network", b.network, "Network of RUN: default, none, host");
  add_many(command, "--add-host", b.add_hosts, "Entry of /etc/hosts in RUN, HOST:IP");
  add_many(command, "--ulimit", b.ulimits, "Resource limit of RUN, NAME=SOFT[:HARD]");
  command.add_flag("--no-cache", b.no_cache, "Run every step anew");
  command.add_flag("--explain", b.explain, "Say of each step that runs why it was not cached");
  add_many(command, "--no-cache-filter", b.no_cache_filter, "Stages whose steps are run anew")
      ->delimiter(',');
  command.add_flag("--pull", b.pull, "Ask the registry for base images even if they are here");
  command.add_option("--cgroup-parent", b.cgroup_parent, "Parent cgroup of RUN");
  add_resources(command, b.resources);
}

void add_build(Parser& p, const Environment& environment) {
  CLI::App& command =
      *p.app.add_subcommand("build", "Build an image from a Dockerfile")->alias("b");
  BuildOptions& b = p.build;
  b.progress = environment_or(environment, "BUILDKIT_PROGRESS", "auto");
  add_graph_options(command, b);
  add_many(command, "-t,--tag", b.tags, "Name of the image, NAME[:TAG]");
  add_many(
      command, "-o,--output", b.outputs,
      "Where the result goes: type=image|registry|oci|docker|local|tar|cacheonly,dest=…; DIR; - "
      "for a tar on standard output");
  add_many(command, "--cache-from", b.cache_from,
           "Cache to read: type=local,src=DIR; type=registry|kiln,ref=NAME[:TAG]");
  add_many(command, "--cache-to", b.cache_to,
           "Cache to fill: type=local,dest=DIR; type=registry|kiln,ref=NAME[:TAG]; ,mode=min|max; "
           "type=inline: in the image");
  add_many(command, "--secret", b.secrets,
           "Secret for RUN --mount=type=secret: id=ID[,src=PATH|env=NAME]");
  add_many(command, "--ssh", b.ssh, "SSH agent for RUN --mount=type=ssh: default or ID[=SOCKET]");
  add_many(command, "--allow", b.allow,
           "Entitlement: network.host, security.insecure, device[=NAME[,alias=ASKED]]");
  add_many(command, "--cdi-spec-dir", b.cdi_spec_dirs,
           "Directory of CDI specs for RUN --device (default: /etc/cdi and /var/run/cdi)")
      ->type_name("DIR");
  add_many(command, "--annotation", b.annotations, "Annotation of the manifest NAME=VALUE");
  command.add_option(
      "--llb", b.llb,
      "Execute a pb.Definition from a file (-: standard input) instead of a Dockerfile");
  command.add_option("--progress", b.progress, "auto, tty, plain, quiet, rawjson")
      ->check(one_of(kProgressModes));
  command.add_flag("--check", b.check, "Check the Dockerfile and build nothing (--call=check)");
  command
      .add_option("--call", b.call,
                  "Ask about the Dockerfile instead of building it: check, outline, targets, "
                  "subrequests.describe; ,format=json")
      ->type_name("METHOD");
  command.add_flag("-q,--quiet", b.quiet, "Print the image ID only");
  command.add_option("--iidfile", b.iidfile, "Write the image ID to a file")->type_name("FILE");
  command.add_option("--metadata-file", b.metadata_file, "Write what was built as JSON to a file")
      ->type_name("FILE");
  command.add_option("--max-parallel", b.max_parallel, "Steps that run at once (default 64)")
      ->check(CLI::NonNegativeNumber);
  add_ignored(command, {"--rm", "--force-rm", "--compress", "--disable-content-trust"});
  command.add_flag("--push", b.push, "Push the image to its registry");
  command.add_flag("--load", b.load, "Put the image into the local store (the default)");
  command.callback([&p] { p.chosen = p.build; });
}

void add_serve(Parser& p) {
  CLI::App& serve = *p.app.add_subcommand("serve", "Serve a registry that images are pushed to");
  serve.add_option("--listen", p.serve.listen, "Address (default 127.0.0.1:5000; port 0: any)")
      ->type_name("HOST:PORT");
  serve
      .add_option("--storage", p.serve.storage,
                  "Directory, or bucket as s3://BUCKET/PREFIX, that keeps what is pushed")
      ->type_name("DIR|s3://…")
      ->required();
  serve
      .add_option("--config", p.serve.config, "TLS, users, access, quotas, limits (docs/serve.md)")
      ->type_name("FILE");
  serve.add_flag("--insecure-plaintext", p.serve.insecure_plaintext,
                 "Speak plain http on addresses other than loopback too");
  serve.callback([&p] { p.chosen = p.serve; });

  CLI::App& fsck = *p.app.add_subcommand("fsck", "Check what a root or a registry keeps");
  fsck.add_option("--storage", p.fsck.storage,
                  "Directory or bucket that kiln serve was given, in place of the root")
      ->type_name("DIR|s3://…");
  fsck.add_option("--config", p.fsck.config, "Of kiln serve: how to reach the bucket")
      ->type_name("FILE");
  fsck.add_flag("--repair", p.fsck.repair,
                "Quarantine damaged blobs and remove names that lead nowhere");
  fsck.callback([&p] { p.chosen = p.fsck; });
}

void add_debug(Parser& p) {
  CLI::App& debug = *p.app.add_subcommand("debug", "Look at what kiln makes of a Dockerfile")
                         ->require_subcommand(1);
  CLI::App& dump =
      *debug.add_subcommand("dump-llb", "Write the build graph as BuildKit's pb.Definition");
  add_graph_options(dump, p.dump.build);
  dump.add_option("--format", p.dump.format, "proto, json or dot")
      ->check(one_of({"proto", "json", "dot"}));
  dump.add_option("-o,--output", p.dump.output, "File (default: standard output)");
  dump.callback([&p] { p.chosen = p.dump; });
  CLI::App& ast = *debug.add_subcommand("ast", "Write the parsed instructions as JSON");
  ast.add_option("-f,--file", p.ast.file, "Dockerfile; -: standard input");
  ast.callback([&p] { p.chosen = p.ast; });
}

// Globals may stand before or after the subcommand's name, so they are copied in once everything is
// read.
void set_globals(Command& command, const GlobalOptions& global) {
  std::visit(
      [&](auto& options) {
        if constexpr (requires { options.global; }) options.global = global;
        if constexpr (requires { options.build.global; }) options.build.global = global;
      },
      command);
}

Usage wrong_usage(const std::string& what, const std::string& hint) {
  return {"ERROR: " + what + "\nhint: " + hint + "\n", 2};
}

// What cannot be seen option by option.
std::optional<Usage> check(const Command& command) {
  const auto* build = std::get_if<BuildOptions>(&command);
  if (const auto* dump = std::get_if<DumpLlbOptions>(&command)) build = &dump->build;
  if (build == nullptr) return std::nullopt;
  if (build->context.empty() && build->llb.empty() && build->call.empty())
    return wrong_usage(
        "a build needs a context: a directory, a git or http(s) URL, or \"-\" for standard input",
        "kiln build .");
  const auto& modes = kProgressModes;
  if (!build->progress.empty() &&
      std::find(modes.begin(), modes.end(), build->progress) == modes.end())
    return wrong_usage("BUILDKIT_PROGRESS=" + quote(build->progress) + " is none of " +
                           join(modes, ", ") + did_you_mean(build->progress, modes),
                       "unset it, or use --progress");
  return std::nullopt;
}

// Of an option that has one value the last one counts, as with docker: scripts append to what they
// were given.
void let_the_last_count(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (!option->get_positional() && option->get_items_expected_max() == 1 &&
        option->get_multi_option_policy() == CLI::MultiOptionPolicy::Throw)
      option->take_last();
  for (CLI::App* command : app.get_subcommands({})) let_the_last_count(*command);
}

}  // namespace

std::variant<Command, Usage> parse_args(int argc, const char* const* argv,
                                        const Environment& environment) {
  Parser p;
  p.app.footer(kFooter);
  p.app.require_subcommand(1);
  p.app.fallthrough();
  add_globals(p, environment);
  add_build(p, environment);
  add_image_commands(p.app, p.images, p.chosen);
  add_serve(p);
  add_debug(p);
  add_registry_commands(p.app, p.registry, p.chosen);
  for (CLI::App* command : p.app.get_subcommands({})) command->fallthrough();
  let_the_last_count(p.app);
  const std::vector<std::string> words = plain_words(p.app, {argv, argv + argc});
  std::vector<const char*> pointers;
  pointers.reserve(words.size());
  for (const std::string& word : words) pointers.push_back(word.c_str());
  try {
    p.app.parse(static_cast<int>(pointers.size()), pointers.data());
  } catch (const CLI::Success& success) {
    std::ostringstream out, err;
    (void)p.app.exit(success, out, err);
    return Usage{out.str(), 0};
  } catch (const CLI::ParseError& error) {
    const std::string command = given_command(p.app).get_name();
    return wrong_usage(describe_usage_error(p.app, error),
                       command == "kiln" ? "run 'kiln --help'"
                                         : "run 'kiln " + command + " --help' for its options");
  }
  set_globals(*p.chosen, p.global);
  if (std::optional<Usage> wrong = check(*p.chosen)) return *std::move(wrong);
  return *std::move(p.chosen);
}

}  // namespace kiln::cmd
