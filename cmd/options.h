// What the command line asked for, as values. args.h fills them in; the commands read them. CLI.md
// B.1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace kiln::cmd {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct GlobalOptions {
  std::string root;         // --root, $KILN_ROOT, or the default
  std::string snapshotter;  // --snapshotter auto|overlay|copy
  std::string oci_runtime;  // --oci-runtime
  bool debug = false;       // -D: say more
};

struct ResourceOptions {
  std::string memory, memory_swap, shm_size, cpuset_cpus, cpuset_mems;
  uint64_t cpu_shares = 0;
  int64_t cpu_quota_us = 0;
  uint64_t cpu_period_us = 0;
};

struct BuildOptions {
  GlobalOptions global;
  std::string context;  // PATH, git or http(s) URL, "-"
  std::string file;     // -f; "" : Dockerfile in the context
  std::string llb;      // --llb: a pb.Definition instead of a Dockerfile; "-": stdin
  std::vector<std::string> tags, outputs, platforms, build_args, labels, build_contexts, secrets,
      ssh, add_hosts, ulimits, allow, no_cache_filter, annotations, cache_from, cache_to,
      cdi_spec_dirs;
  std::string call;  // --call METHOD[,format=…]: ask about the Dockerfile instead of building it
  bool check = false;  // --check: --call=check
  std::string target, network = "default", progress, iidfile, metadata_file, cgroup_parent;
  bool no_cache = false, explain = false, pull = false, quiet = false, push = false, load = false;
  size_t max_parallel = 0;
  ResourceOptions resources;
};

struct ImagesOptions {
  GlobalOptions global;
  std::vector<std::string> references;
  bool quiet = false, no_trunc = false, digests = false, all = false, tree = false;
  std::string format;
  std::vector<std::string> filters;
};
struct InspectOptions {
  GlobalOptions global;
  std::vector<std::string> references;
  std::string format, type, platform;
};
struct HistoryOptions {
  GlobalOptions global;
  std::string reference, format, platform;
  bool quiet = false, no_trunc = false, human = true;
};
struct ImportOptions {
  GlobalOptions global;
  std::string file, reference, message;
  std::vector<std::string> changes;
  std::string platform;
};
struct SaveOptions {
  GlobalOptions global;
  std::vector<std::string> references;
  std::string output, format = "docker";
  std::string platform;  // "": all that are here
};
struct LoadOptions {
  GlobalOptions global;
  std::string input;
  bool quiet = false;
};
struct TagOptions {
  GlobalOptions global;
  std::string source, target;
};
struct RmiOptions {
  GlobalOptions global;
  std::vector<std::string> references;
  bool force = false, no_prune = false;
};
struct PushOptions {
  GlobalOptions global;
  std::string reference, platform;
  bool all_tags = false, quiet = false;
};
struct PullOptions {
  GlobalOptions global;
  std::string reference, platform;
  bool all_tags = false, quiet = false;
};
struct LoginOptions {
  std::string server, username, password;
  bool password_stdin = false;
};
struct LogoutOptions {
  std::string server;
};
struct ImagetoolsInspectOptions {
  GlobalOptions global;
  std::string reference, format;
  bool raw = false;
};
struct ImagetoolsCreateOptions {
  GlobalOptions global;
  std::vector<std::string> sources, files, tags, annotations, platforms;
  std::string metadata_file;
  bool append = false, dry_run = false, prefer_index = true;
};
struct PruneOptions {
  GlobalOptions global;
  bool all = false, force = false;
  std::vector<std::string> filters;
  std::string until, reserved_space, max_used_space, min_free_space;
};
struct DuOptions {
  GlobalOptions global;
  bool verbose = false;
  std::vector<std::string> filters;
  std::string format;
};
struct ServeOptions {
  GlobalOptions global;
  std::string listen = "127.0.0.1:5000", storage, config;
  bool insecure_plaintext = false;
};
struct FsckOptions {
  GlobalOptions global;
  std::string storage, config;
  bool repair = false;
};
struct DumpLlbOptions {
  BuildOptions build;
  std::string format = "proto";
  std::string output;
};
struct AstOptions {
  std::string file = "Dockerfile";
};

using Command = std::variant<BuildOptions, ImagesOptions, ImportOptions, SaveOptions, LoadOptions,
                             TagOptions, RmiOptions, PushOptions, PullOptions, LoginOptions,
                             LogoutOptions, ImagetoolsInspectOptions, ImagetoolsCreateOptions,
                             PruneOptions, DuOptions, ServeOptions, FsckOptions, InspectOptions,
                             HistoryOptions, DumpLlbOptions, AstOptions>;

}  // namespace kiln::cmd
