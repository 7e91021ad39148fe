#include "llb/caps.h"
#include "llb/codec.h"
#include "llb/codec_names.h"
#include "ops.pb.h"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <map>
#include <utility>

namespace kiln::llb {
namespace {

/// Fields in number order is what protobuf's C++ writer does; maps need to be told.
std::string serialize(const google::protobuf::MessageLite& message) {
  const google::protobuf::LogSilencer quiet;  // texts that are not UTF-8 are written as they are
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    KILN_CHECK(message.SerializeToCodedStream(&coded));
  }
  return bytes;
}

void encode(const SourceOp& op, pb::Op& out) {
  pb::SourceOp& source = *out.mutable_source();
  source.set_identifier(op.identifier);
  source.mutable_attrs()->insert(op.attrs.begin(), op.attrs.end());
}

void encode(const ProxyEnv& proxy, pb::ProxyEnv& out) {
  out.set_http_proxy(proxy.http_proxy);
  out.set_https_proxy(proxy.https_proxy);
  out.set_ftp_proxy(proxy.ftp_proxy);
  out.set_no_proxy(proxy.no_proxy);
  out.set_all_proxy(proxy.all_proxy);
}

void encode(const ExecMeta& meta, pb::Meta& out) {
  for (const std::string& arg : meta.args) out.add_args(arg);
  for (const std::string& env : meta.env) out.add_env(env);
  out.set_cwd(meta.cwd);
  out.set_user(meta.user);
  if (meta.proxy_env) encode(*meta.proxy_env, *out.mutable_proxy_env());
  for (const HostIp& entry : meta.extra_hosts) {
    pb::HostIP& host = *out.add_extrahosts();
    host.set_host(entry.host);
    host.set_ip(entry.ip);
  }
  out.set_hostname(meta.hostname);
  for (const Ulimit& entry : meta.ulimits) {
    pb::Ulimit& ulimit = *out.add_ulimit();
    ulimit.set_name(entry.name);
    ulimit.set_soft(entry.soft);
    ulimit.set_hard(entry.hard);
  }
  out.set_cgroupparent(meta.cgroup_parent);
  out.set_removemountstubsrecursive(meta.remove_mount_stubs_recursive);
  for (int32_t code : meta.valid_exit_codes) out.add_validexitcodes(code);
}

template <class Opt, class Out>
void encode_file_mount(const Opt& opt, Out& out) {
  out.set_id(opt.id);
  out.set_uid(opt.uid);
  out.set_gid(opt.gid);
  out.set_mode(opt.mode);
  out.set_optional(opt.optional);
}

void encode(const ExecMount& mount, pb::Mount& out) {
  out.set_input(mount.input);
  out.set_selector(mount.selector);
  out.set_dest(mount.dest);
  // BuildKit's clients leave 0 here for the two kinds that never have an output.
  const bool no_output = mount.type == MountType::kSecret || mount.type == MountType::kSsh;
  out.set_output(no_output ? 0 : mount.output);
  out.set_readonly(mount.read_only);
  out.set_mounttype(static_cast<pb::MountType>(mount.type));
  if (mount.type == MountType::kTmpfs) {
    out.mutable_tmpfsopt()->set_size(static_cast<int64_t>(mount.tmpfs_size_bytes));
  }
  if (mount.cache) {
    out.mutable_cacheopt()->set_id(mount.cache->id);
    out.mutable_cacheopt()->set_sharing(static_cast<pb::CacheSharingOpt>(mount.cache->sharing));
  }
  if (mount.secret) encode_file_mount(*mount.secret, *out.mutable_secretopt());
  if (mount.ssh) encode_file_mount(*mount.ssh, *out.mutable_sshopt());
  out.set_resultid(mount.result_id);
  out.set_contentcache(static_cast<pb::MountContentCache>(mount.content_cache));
}

void encode(const ExecOp& op, pb::Op& out) {
  pb::ExecOp& exec = *out.mutable_exec();
  encode(op.meta, *exec.mutable_meta());
  for (const ExecMount& mount : op.mounts) encode(mount, *exec.add_mounts());
  exec.set_network(static_cast<pb::NetMode>(op.network));
  exec.set_security(static_cast<pb::SecurityMode>(op.security));
  for (const SecretEnv& entry : op.secret_env) {
    pb::SecretEnv& secret = *exec.add_secretenv();
    secret.set_id(entry.id);
    secret.set_name(entry.name);
    secret.set_optional(entry.optional);
  }
  for (const CdiDevice& entry : op.cdi_devices) {
    pb::CDIDevice& device = *exec.add_cdidevices();
    device.set_name(entry.name);
    device.set_optional(entry.optional);
  }
}

void encode(const UserRef& who, pb::UserOpt& out) {
  if (who.id) {
    out.set_byid(*who.id);
    return;
  }
  out.mutable_byname()->set_name(who.name);
  out.mutable_byname()->set_input(who.input);
}

template <class Out>
void encode_owner(const std::optional<Chown>& owner, Out& out) {
  if (!owner) return;
  pb::ChownOpt& chown = *out.mutable_owner();
  if (owner->user) encode(*owner->user, *chown.mutable_user());
  if (owner->group) encode(*owner->group, *chown.mutable_group());
}

void encode(const CopyAction& action, pb::FileAction& out) {
  pb::FileActionCopy& copy = *out.mutable_copy();
  copy.set_src(action.src);
  copy.set_dest(action.dest);
  encode_owner(action.owner, copy);
  copy.set_mode(action.mode);
  copy.set_followsymlink(action.follow_symlink);
  copy.set_dircopycontents(action.dir_copy_contents);
  copy.set_attemptunpackdockercompatibility(action.attempt_unpack);
  copy.set_createdestpath(action.create_dest_path);
  copy.set_allowwildcard(action.allow_wildcard);
  copy.set_allowemptywildcard(action.allow_empty_wildcard);
  copy.set_timestamp(action.timestamp);
  for (const std::string& pattern : action.include_patterns) copy.add_include_patterns(pattern);
  for (const std::string& pattern : action.exclude_patterns) copy.add_exclude_patterns(pattern);
  copy.set_alwaysreplaceexistingdestpaths(action.always_replace_existing_dest_paths);
  copy.set_modestr(action.mode_str);
  for (const std::string& path : action.required_paths) copy.add_required_paths(path);
}

void encode(const MkFileAction& action, pb::FileAction& out) {
  pb::FileActionMkFile& mkfile = *out.mutable_mkfile();
  mkfile.set_path(action.path);
  mkfile.set_mode(action.mode);
  mkfile.set_data(action.data);
  encode_owner(action.owner, mkfile);
  mkfile.set_timestamp(action.timestamp);
}

void encode(const MkDirAction& action, pb::FileAction& out) {
  pb::FileActionMkDir& mkdir = *out.mutable_mkdir();
  mkdir.set_path(action.path);
  mkdir.set_mode(action.mode);
  mkdir.set_makeparents(action.make_parents);
  encode_owner(action.owner, mkdir);
  mkdir.set_timestamp(action.timestamp);
}

void encode(const RmAction& action, pb::FileAction& out) {
  out.mutable_rm()->set_path(action.path);
  out.mutable_rm()->set_allownotfound(action.allow_not_found);
  out.mutable_rm()->set_allowwildcard(action.allow_wildcard);
}

void encode(const SymlinkAction& action, pb::FileAction& out) {
  pb::FileActionSymlink& symlink = *out.mutable_symlink();
  symlink.set_oldpath(action.oldpath);
  symlink.set_newpath(action.newpath);
  encode_owner(action.owner, symlink);
  symlink.set_timestamp(action.timestamp);
}

void encode(const FileOp& op, pb::Op& out) {
  pb::FileOp& file = *out.mutable_file();
  for (const FileAction& entry : op.actions) {
    pb::FileAction& action = *file.add_actions();
    action.set_input(entry.input);
    action.set_secondaryinput(entry.secondary_input);
    action.set_output(entry.output);
    std::visit([&action](const auto& kind) { encode(kind, action); }, entry.action);
  }
}

void encode(const MergeOp& op, pb::Op& out) {
  for (int index : op.inputs) out.mutable_merge()->add_inputs()->set_input(index);
}

void encode(const DiffOp& op, pb::Op& out) {
  out.mutable_diff()->mutable_lower()->set_input(op.lower);
  out.mutable_diff()->mutable_upper()->set_input(op.upper);
}

void encode_inputs(std::span<const InputDigest> inputs, pb::Op& out) {
  for (const InputDigest& entry : inputs) {
    pb::Input& input = *out.add_inputs();
    input.set_digest(entry.digest.to_string());
    input.set_index(entry.index);
  }
}

void encode(const Resources& limits, pb::LinuxResources& out) {
  out.set_memory(limits.memory_bytes);
  out.set_memory_swap(limits.memory_swap_bytes);
  out.set_cpu_shares(static_cast<int64_t>(limits.cpu_shares));
  out.set_cpu_period(static_cast<int64_t>(limits.cpu_period_us));
  out.set_cpu_quota(limits.cpu_quota_us);
  out.set_cpuset_cpus(limits.cpuset_cpus);
  out.set_cpuset_mems(limits.cpuset_mems);
}

void encode(const Vertex& vertex, pb::OpMetadata& out) {
  const Meta& meta = vertex.meta;
  out.set_ignore_cache(meta.ignore_cache);
  auto& description = *out.mutable_description();
  description.insert(meta.description.begin(), meta.description.end());
  if (!meta.name.empty()) description[kNameKey] = meta.name;
  for (const std::string& cap : capabilities(vertex.op, meta)) (*out.mutable_caps())[cap] = true;
  if (!meta.resources) return;
  Resources limits = *meta.resources;
  if (limits.shm_bytes != 0) description[kShmKey] = std::to_string(limits.shm_bytes);
  limits.shm_bytes = 0;
  if (limits != Resources{}) encode(limits, *out.mutable_linux_resources());
}

/// The entry that names the result, and what the whole definition asks of a daemon.
std::string encode_terminal(const Graph& graph, std::span<const Digest> digests,
                            pb::Definition& out) {
  const Output target = graph.targets().front();
  const InputDigest input{digests[target.vertex], target.index};
  pb::Op terminal;
  encode_inputs({&input, 1}, terminal);
  std::string bytes = serialize(terminal);
  pb::OpMetadata& meta = (*out.mutable_metadata())[Digest::of(bytes).to_string()];
  auto& caps = *meta.mutable_caps();
  caps["constraints"] = true;
  caps["platform"] = true;
  for (const auto& [digest, entry] : out.metadata()) {
    if (entry.ignore_cache()) caps["meta.ignorecache"] = true;
    if (!entry.description().empty()) caps["meta.description"] = true;
  }
  return bytes;
}

void encode_source_map(const Graph& graph, std::span<const Digest> digests, pb::Source& out) {
  std::map<std::string, int, std::less<>> index;
  for (const SourceFile& file : graph.files()) {
    index.emplace(file.filename, out.infos_size());
    pb::SourceInfo& info = *out.add_infos();
    info.set_filename(file.filename);
    info.set_data(file.data);
    info.set_language(file.language);
  }
  for (size_t i = 0; i < graph.vertices().size(); ++i) {
    for (const SourceRange& range : graph.vertices()[i].meta.where) {
      auto found = index.find(range.file);
      if (found == index.end() || range.first_line <= 0) continue;
      pb::Location& location = *(*out.mutable_locations())[digests[i].to_string()].add_locations();
      location.set_sourceindex(found->second);
      pb::Range& lines = *location.add_ranges();
      lines.mutable_start()->set_line(range.first_line);
      lines.mutable_end()->set_line(range.last_line);
    }
  }
}

}  // namespace

std::string marshal_op(const Op& op, std::span<const InputDigest> inputs,
                       const std::optional<Platform>& platform) {
  google::protobuf::Arena arena;  // one free for all its parts
  pb::Op& out = *google::protobuf::Arena::CreateMessage<pb::Op>(&arena);
  encode_inputs(inputs, out);
  std::visit([&out](const auto& kind) { encode(kind, out); }, op);
  if (platform) {
    out.mutable_platform()->set_architecture(platform->architecture);
    out.mutable_platform()->set_os(platform->os);
    out.mutable_platform()->set_variant(platform->variant);
  }
  out.mutable_constraints();  // present though empty, as BuildKit's clients write it
  return serialize(out);
}

std::string marshal_definition(const Graph& graph) {
  if (graph.targets().empty()) return {};
  KILN_CHECK(graph.targets().size() == 1);
  google::protobuf::Arena arena;
  pb::Definition& out = *google::protobuf::Arena::CreateMessage<pb::Definition>(&arena);
  std::vector<Digest> digests;  // of what is written here: a received op may be spelled otherwise
  for (const Vertex& vertex : graph.vertices()) {
    std::vector<InputDigest> inputs;
    for (const Output& input : vertex.inputs)
      inputs.push_back({digests[input.vertex], input.index});
    std::string bytes = marshal_op(vertex.op, inputs, vertex.platform);
    digests.push_back(Digest::of(bytes));
    out.add_def(std::move(bytes));
    encode(vertex, (*out.mutable_metadata())[digests.back().to_string()]);
  }
  out.add_def(encode_terminal(graph, digests, out));
  encode_source_map(graph, digests, *out.mutable_source());
  return serialize(out);
}

}  // namespace kiln::llb
