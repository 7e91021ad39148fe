// The build graph's operations as plain data, field for field what BuildKit's pb.Op carries
// (solver/pb/ops.proto), so that codec.h can marshal them to that wire format and back without
// loss. A closed set: adding an op breaks the build wherever it must be handled. What does not
// change the result (names, source ranges, resource limits) is in Meta, never in the op.
#pragma once

#include "base/digest.h"
#include "base/platform.h"
#include "base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kiln::llb {

using VertexId = uint32_t;
/// One output of a vertex: BuildKit's pb.Input once resolved.
struct Output {
  VertexId vertex = 0;
  uint32_t index = 0;
  auto operator<=>(const Output&) const = default;
};

constexpr int kNoIndex = -1;  // InputIndex/OutputIndex "empty": scratch, or no output

// ---- SourceOp
// -------------------------------------------------------------------------------------------------------
struct SourceOp {
  std::string identifier;  // "docker-image://…", "local://context", "oci-layout://…", "git://…",
                           // "https://…"
  std::map<std::string, std::string> attrs;  // names: LLB.md C.1
  bool operator==(const SourceOp&) const = default;
};

// ---- ExecOp
// ---------------------------------------------------------------------------------------------------------
enum class NetMode : uint8_t {
  kSandbox = 0,
  kHost = 1,
  kNone = 2
};                                                                  // pb.NetMode: UNSET, HOST, NONE
enum class SecurityMode : uint8_t { kSandbox = 0, kInsecure = 1 };  // pb.SecurityMode
enum class MountType : uint8_t {
  kBind = 0,
  kSecret = 1,
  kSsh = 2,
  kCache = 3,
  kTmpfs = 4
};                                                                             // pb.MountType
enum class CacheSharing : uint8_t { kShared = 0, kPrivate = 1, kLocked = 2 };  // pb.CacheSharingOpt

struct HostIp {
  std::string host, ip;
  bool operator==(const HostIp&) const = default;
};
struct ProxyEnv {
  std::string http_proxy, https_proxy, ftp_proxy, no_proxy, all_proxy;
  bool operator==(const ProxyEnv&) const = default;
};
struct Ulimit {
  std::string name;
  int64_t soft = 0, hard = 0;
  bool operator==(const Ulimit&) const = default;
};

struct ExecMeta {
  std::vector<std::string> args, env;  // env: "K=V", order matters
  std::string cwd = "/";
  std::string user;  // "", "name", "uid", "user:group"
  std::optional<ProxyEnv> proxy_env;
  std::vector<HostIp> extra_hosts;
  std::string hostname;
  std::vector<Ulimit> ulimits;
  std::string cgroup_parent;
  bool remove_mount_stubs_recursive = false;
  std::vector<int32_t> valid_exit_codes;  // empty: only 0
  bool operator==(const ExecMeta&) const = default;
};
struct CacheMountOpt {
  std::string id;
  CacheSharing sharing = CacheSharing::kShared;
  bool operator==(const CacheMountOpt&) const = default;
};
struct SecretMountOpt {
  std::string id;
  uint32_t uid = 0, gid = 0, mode = 0400;
  bool optional = false;
  bool operator==(const SecretMountOpt&) const = default;
};
struct SshMountOpt {
  std::string id;
  uint32_t uid = 0, gid = 0, mode = 0600;
  bool optional = false;
  bool operator==(const SshMountOpt&) const = default;
};
struct SecretEnv {
  std::string id, name;
  bool optional = false;
  bool operator==(const SecretEnv&) const = default;
};

struct CdiDevice {
  std::string name;  // "vendor/class", "vendor/class=name", "vendor/class=*"
  bool optional = false;
  bool operator==(const CdiDevice&) const = default;
};

struct ExecMount {
  int input = kNoIndex;  // index into the vertex's inputs
  std::string selector;  // sub-path of the input
  std::string dest = "/";
  int output = kNoIndex;  // output index; kNoIndex: not an output
  bool read_only = false;
  MountType type = MountType::kBind;
  uint64_t tmpfs_size_bytes = 0;  // 0: the kernel's default
  std::optional<CacheMountOpt> cache;
  std::optional<SecretMountOpt> secret;
  std::optional<SshMountOpt> ssh;
  std::string result_id;
  int content_cache = 0;  // pb.MountContentCache: 0 default, 1 on, 2 off
  bool operator==(const ExecMount&) const = default;
};
struct ExecOp {
  ExecMeta meta;
  std::vector<ExecMount> mounts;  // exactly one has dest "/"
  NetMode network = NetMode::kSandbox;
  SecurityMode security = SecurityMode::kSandbox;
  std::vector<SecretEnv> secret_env;
  std::vector<CdiDevice> cdi_devices;
  bool operator==(const ExecOp&) const = default;
};

// ---- FileOp
// ---------------------------------------------------------------------------------------------------------
/// pb.UserOpt: by number, or by name looked up in the passwd/group files of input `input`.
struct UserRef {
  std::optional<uint32_t> id;
  std::string name;  // used if !id
  int input = kNoIndex;
  bool operator==(const UserRef&) const = default;
};
struct Chown {
  std::optional<UserRef> user, group;
  bool operator==(const Chown&) const = default;
};

struct CopyAction {
  std::string src, dest;  // absolute; src relative to the secondary input's root
  std::optional<Chown> owner;
  int mode = -1;         // permission bits; -1: keep the source's
  std::string mode_str;  // symbolic chmod ("u=rwX,go=rX"); used if not empty
  bool follow_symlink = false;
  bool dir_copy_contents = false;
  bool attempt_unpack = false;
  bool create_dest_path = false;
  bool allow_wildcard = false;
  bool allow_empty_wildcard = false;
  int64_t timestamp = -1;  // ns since the epoch for what is created; -1: keep
  std::vector<std::string> include_patterns, exclude_patterns, required_paths;
  bool always_replace_existing_dest_paths = false;
  bool operator==(const CopyAction&) const = default;
};
struct MkFileAction {
  std::string path;
  int mode = 0644;
  std::string data;
  std::optional<Chown> owner;
  int64_t timestamp = -1;
  bool operator==(const MkFileAction&) const = default;
};
struct MkDirAction {
  std::string path;
  int mode = 0755;
  bool make_parents = false;
  std::optional<Chown> owner;
  int64_t timestamp = -1;
  bool operator==(const MkDirAction&) const = default;
};
struct RmAction {
  std::string path;
  bool allow_not_found = false, allow_wildcard = false;
  bool operator==(const RmAction&) const = default;
};
struct SymlinkAction {
  std::string oldpath, newpath;
  std::optional<Chown> owner;
  int64_t timestamp = -1;
  bool operator==(const SymlinkAction&) const = default;
};

struct FileAction {
  // Indexes: 0..n-1 are the vertex's inputs, n.. the results of earlier actions in order; kNoIndex
  // is scratch.
  int input = kNoIndex;            // what is changed
  int secondary_input = kNoIndex;  // where a copy reads
  int output = kNoIndex;           // output index of the vertex; kNoIndex: only for later actions
  std::variant<CopyAction, MkFileAction, MkDirAction, RmAction, SymlinkAction> action;
  bool operator==(const FileAction&) const = default;
};
struct FileOp {
  std::vector<FileAction> actions;
  bool operator==(const FileOp&) const = default;
};

// ---- MergeOp, DiffOp
// ------------------------------------------------------------------------------------------------
struct MergeOp {
  std::vector<int> inputs;
  bool operator==(const MergeOp&) const = default;
};  // later wins; indexes of inputs
struct DiffOp {
  int lower = kNoIndex, upper = kNoIndex;
  bool operator==(const DiffOp&) const = default;
};

using Op = std::variant<SourceOp, ExecOp, FileOp, MergeOp, DiffOp>;

// ---- beside the op
// --------------------------------------------------------------------------------------------------
/// pb.OpMetadata.linux_resources and friends: act on a step, never enter its digest or its key.
struct Resources {
  int64_t memory_bytes = 0, memory_swap_bytes = 0;  // 0: no limit; memory_swap -1: unlimited swap
  uint64_t cpu_shares = 0;
  int64_t cpu_quota_us = 0;
  uint64_t cpu_period_us = 0;
  std::string cpuset_cpus, cpuset_mems;
  uint64_t shm_bytes = 0;  // 0: 64 MiB
  bool operator==(const Resources&) const = default;
};
struct Meta {
  std::string name;                                // for people: "[build 2/4] RUN make"
  std::map<std::string, std::string> description;  // "com.docker.dockerfile.v1.command", …
  std::vector<SourceRange> where;  // innermost first; `file` names an entry of SourceFile
  bool ignore_cache = false;
  std::optional<Resources> resources;
  std::string stage;  // for --no-cache-filter and reports; not marshalled
};
struct SourceFile {
  std::string filename, data, language = "Dockerfile";
};

struct Vertex {
  Op op;
  std::vector<Output> inputs;
  std::optional<Platform> platform;
  Digest digest;  // SHA-256 of the marshalled op (codec.h)
  Meta meta;
};

}  // namespace kiln::llb
