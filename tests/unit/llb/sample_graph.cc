#include "tests/unit/llb/sample_graph.h"

#include <utility>

namespace kiln::llb {
namespace {

const Platform kPlatform{"linux", "arm64", "v8"};

Meta named(std::string name, int line) {
  Meta meta;
  meta.name = std::move(name);
  meta.description["com.docker.dockerfile.v1.command"] = "X";
  meta.where = {{"Dockerfile", line, line + 1}};
  return meta;
}

ExecOp sample_exec() {
  ExecOp op;
  op.meta.args = {"/bin/sh", "-c", "make"};
  op.meta.env = {"PATH=/bin", "A="};
  op.meta.cwd = "/src";
  op.meta.user = "1:2";
  op.meta.proxy_env = ProxyEnv{"h", "s", "f", "n", "a"};
  op.meta.extra_hosts = {{"db", "10.0.0.1"}};
  op.meta.hostname = "box";
  op.meta.ulimits = {{"nofile", 10, 20}};
  op.meta.cgroup_parent = "/x";
  op.meta.remove_mount_stubs_recursive = true;
  op.meta.valid_exit_codes = {0, 3};
  op.network = NetMode::kNone;
  op.security = SecurityMode::kInsecure;
  op.secret_env = {{"token", "TOKEN", true}};
  op.cdi_devices = {{"vendor.com/gpu=all", true}, {"vendor.com/gpu", false}};
  op.mounts.resize(6);
  op.mounts[0].input = 0;
  op.mounts[0].output = 0;
  op.mounts[1].input = 1;
  op.mounts[1].selector = "sub";
  op.mounts[1].dest = "/in";
  op.mounts[1].read_only = true;
  op.mounts[2].dest = "/cache";
  op.mounts[2].type = MountType::kCache;
  op.mounts[2].cache = CacheMountOpt{"/cache", CacheSharing::kLocked};
  op.mounts[3].dest = "/tmp";
  op.mounts[3].type = MountType::kTmpfs;
  op.mounts[3].tmpfs_size_bytes = 1 << 20;
  op.mounts[4].dest = "/run/secrets/token";
  op.mounts[4].type = MountType::kSecret;
  op.mounts[4].secret = SecretMountOpt{"token", 1, 2, 0400, true};
  op.mounts[5].dest = "/run/ssh";
  op.mounts[5].type = MountType::kSsh;
  op.mounts[5].ssh = SshMountOpt{"default", 0, 0, 0600, false};
  return op;
}

FileOp sample_files() {
  CopyAction copy;
  copy.src = "/a*";
  copy.dest = "/b/";
  copy.owner = Chown{UserRef{{}, "app", 0}, UserRef{0U, "", kNoIndex}};
  copy.mode_str = "u=rwX";
  copy.follow_symlink = copy.dir_copy_contents = copy.attempt_unpack = true;
  copy.create_dest_path = copy.allow_wildcard = copy.allow_empty_wildcard = true;
  copy.include_patterns = {"x"};
  copy.exclude_patterns = {"y", "!z"};
  copy.required_paths = {"/q"};
  copy.always_replace_existing_dest_paths = true;
  FileOp op;
  op.actions.push_back({0, kNoIndex, kNoIndex, MkDirAction{"/d", 0700, true, {}, 5}});
  op.actions.push_back(
      {2, kNoIndex, kNoIndex, MkFileAction{"/f", 0644, std::string("a\0b", 3), {}, -1}});
  op.actions.push_back({3, 1, kNoIndex, copy});
  op.actions.push_back({4, kNoIndex, kNoIndex, RmAction{"/f", true, true}});
  op.actions.push_back({5, kNoIndex, 0, SymlinkAction{"/d", "/l", {}, -1}});
  return op;
}

}  // namespace

Graph sample_graph() {
  GraphBuilder builder;
  builder.add_file({"Dockerfile", "FROM a\nRUN make\n", "Dockerfile"});
  const Output image = builder.add(SourceOp{"docker-image://docker.io/library/a:latest", {}}, {},
                                   kPlatform, named("FROM a", 1));
  const Output context = builder.add(
      SourceOp{"local://context", {{"local.followpaths", "[\"a\"]"}}}, {}, std::nullopt, {});
  Meta run = named("RUN make", 2);
  run.ignore_cache = true;
  run.resources = Resources{1 << 20, -1, 2, 3, 4, "0-1", "0", 1 << 16};
  const Output exec = builder.add(sample_exec(), {image, context}, kPlatform, std::move(run));
  const Output files = builder.add(sample_files(), {exec, context}, std::nullopt, {});
  const Output diff = builder.add(DiffOp{kNoIndex, 0}, {files}, std::nullopt, {});
  const Output merge = builder.add(MergeOp{{0, 1}}, {image, diff}, std::nullopt, {});
  return std::move(builder).build({merge});
}

}  // namespace kiln::llb
