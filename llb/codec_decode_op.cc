#include "llb/codec_decode_op.h"

#include "llb/validate.h"
#include "ops.pb.h"

#include <climits>
#include <utility>

namespace kiln::llb {
namespace {

Status invalid(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

/// proto3's lite code keeps unknown fields but has no accessor for them; this is the one that
/// protoc generates for proto2. A protobuf that stores them otherwise does not compile here.
class UnknownFields : public google::protobuf::MessageLite {
 public:
  static const std::string& of(const google::protobuf::MessageLite& message) {
    return (message.*&UnknownFields::_internal_metadata_)
        .unknown_fields<std::string>(google::protobuf::internal::GetEmptyString);
  }
};

/// The field number at the head of the bytes that protobuf put aside.
uint64_t first_field(std::string_view unknown) {
  uint64_t tag = 0;
  for (size_t i = 0; i < unknown.size() && i < 5; ++i) {
    const auto byte = static_cast<unsigned char>(unknown[i]);
    tag |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) break;
  }
  return tag >> 3;
}

/// A field that kiln does not know could change what the op does, so it is never skipped.
Status known(const google::protobuf::MessageLite& message, const char* where) {
  const std::string& unknown = UnknownFields::of(message);
  if (unknown.empty()) return {};
  return tl::unexpected(Error(Code::kInvalidArgument, std::string(where) + " has field " +
                                                          std::to_string(first_field(unknown)) +
                                                          ", which kiln does not know")
                            .hint("the definition was made by a newer BuildKit client"));
}

Result<int> index_of(int64_t value, const char* what) {
  if (value < kNoIndex || value > INT_MAX) {
    return fail(Code::kInvalidArgument,
                std::string(what) + " " + std::to_string(value) + " is out of range");
  }
  return static_cast<int>(value);
}

template <class Enum>
Result<Enum> enum_of(int value, Enum last, const char* what) {
  if (value < 0 || value > static_cast<int>(last)) {
    return fail(Code::kInvalidArgument,
                "unknown " + std::string(what) + " " + std::to_string(value));
  }
  return static_cast<Enum>(value);
}

template <class Repeated>
std::vector<std::string> strings(const Repeated& field) {
  return {field.begin(), field.end()};
}

Result<Op> decode(const pb::SourceOp& in) {
  KILN_TRY(known(in, "SourceOp"));
  SourceOp op;
  op.identifier = in.identifier();
  op.attrs.insert(in.attrs().begin(), in.attrs().end());
  return Op(std::move(op));
}

Result<ProxyEnv> decode(const pb::ProxyEnv& in) {
  KILN_TRY(known(in, "ProxyEnv"));
  return ProxyEnv{in.http_proxy(), in.https_proxy(), in.ftp_proxy(), in.no_proxy(), in.all_proxy()};
}

Result<ExecMeta> decode(const pb::Meta& in) {
  KILN_TRY(known(in, "Meta"));
  ExecMeta meta;
  meta.args = strings(in.args());
  meta.env = strings(in.env());
  meta.cwd = in.cwd();
  meta.user = in.user();
  if (in.has_proxy_env()) {
    KILN_TRY_ASSIGN(meta.proxy_env, decode(in.proxy_env()));
  }
  for (const pb::HostIP& host : in.extrahosts()) {
    KILN_TRY(known(host, "HostIP"));
    meta.extra_hosts.push_back({host.host(), host.ip()});
  }
  meta.hostname = in.hostname();
  for (const pb::Ulimit& ulimit : in.ulimit()) {
    KILN_TRY(known(ulimit, "Ulimit"));
    meta.ulimits.push_back({ulimit.name(), ulimit.soft(), ulimit.hard()});
  }
  meta.cgroup_parent = in.cgroupparent();
  meta.remove_mount_stubs_recursive = in.removemountstubsrecursive();
  meta.valid_exit_codes.assign(in.validexitcodes().begin(), in.validexitcodes().end());
  return meta;
}

template <class Opt, class In>
Result<Opt> decode_file_mount(const In& in, const char* where) {
  KILN_TRY(known(in, where));
  return Opt{in.id(), in.uid(), in.gid(), in.mode(), in.optional()};
}

Status decode_options(const pb::Mount& in, ExecMount& mount) {
  if (in.has_tmpfsopt()) {
    KILN_TRY(known(in.tmpfsopt(), "TmpfsOpt"));
    if (in.tmpfsopt().size() < 0) return invalid("a tmpfs size is negative");
    mount.tmpfs_size_bytes = static_cast<uint64_t>(in.tmpfsopt().size());
  }
  if (in.has_cacheopt()) {
    KILN_TRY(known(in.cacheopt(), "CacheOpt"));
    KILN_TRY_ASSIGN(const CacheSharing sharing,
                    enum_of(in.cacheopt().sharing(), CacheSharing::kLocked, "cache sharing"));
    mount.cache = CacheMountOpt{in.cacheopt().id(), sharing};
  }
  if (in.has_secretopt()) {
    KILN_TRY_ASSIGN(mount.secret, decode_file_mount<SecretMountOpt>(in.secretopt(), "SecretOpt"));
  }
  if (in.has_sshopt()) {
    KILN_TRY_ASSIGN(mount.ssh, decode_file_mount<SshMountOpt>(in.sshopt(), "SSHOpt"));
  }
  return {};
}

Result<ExecMount> decode(const pb::Mount& in) {
  KILN_TRY(known(in, "Mount"));
  ExecMount mount;
  KILN_TRY_ASSIGN(mount.input, index_of(in.input(), "mount input"));
  KILN_TRY_ASSIGN(mount.output, index_of(in.output(), "mount output"));
  KILN_TRY_ASSIGN(mount.type, enum_of(in.mounttype(), MountType::kTmpfs, "mount type"));
  KILN_TRY_ASSIGN(mount.content_cache, enum_of(in.contentcache(), 2, "content cache mode"));
  if (mount.type == MountType::kSecret || mount.type == MountType::kSsh) mount.output = kNoIndex;
  mount.selector = in.selector();
  mount.dest = in.dest();
  mount.read_only = in.readonly();
  mount.result_id = in.resultid();
  KILN_TRY(decode_options(in, mount));
  return mount;
}

Result<Op> decode(const pb::ExecOp& in) {
  KILN_TRY(known(in, "ExecOp"));
  ExecOp op;
  KILN_TRY_ASSIGN(op.meta, decode(in.meta()));
  for (const pb::Mount& entry : in.mounts()) {
    KILN_TRY_ASSIGN(ExecMount mount, decode(entry));
    op.mounts.push_back(std::move(mount));
  }
  KILN_TRY_ASSIGN(op.network, enum_of(in.network(), NetMode::kNone, "network mode"));
  KILN_TRY_ASSIGN(op.security, enum_of(in.security(), SecurityMode::kInsecure, "security mode"));
  for (const pb::SecretEnv& secret : in.secretenv()) {
    KILN_TRY(known(secret, "SecretEnv"));
    op.secret_env.push_back({secret.id(), secret.name(), secret.optional()});
  }
  for (const pb::CDIDevice& device : in.cdidevices()) {
    KILN_TRY(known(device, "CDIDevice"));
    op.cdi_devices.push_back(device.name());
  }
  return Op(std::move(op));
}

Result<UserRef> decode(const pb::UserOpt& in) {
  KILN_TRY(known(in, "UserOpt"));
  UserRef who;
  switch (in.user_case()) {
    case pb::UserOpt::kByID:
      who.id = in.byid();
      return who;
    case pb::UserOpt::kByName: {
      KILN_TRY(known(in.byname(), "NamedUserOpt"));
      who.name = in.byname().name();
      KILN_TRY_ASSIGN(who.input, index_of(in.byname().input(), "owner input"));
      return who;
    }
    case pb::UserOpt::USER_NOT_SET:
      break;
  }
  return fail(Code::kInvalidArgument, "an owner is neither a name nor a number");
}

template <class In>
Result<std::optional<Chown>> decode_owner(const In& in) {
  if (!in.has_owner()) return std::optional<Chown>();
  KILN_TRY(known(in.owner(), "ChownOpt"));
  Chown owner;
  if (in.owner().has_user()) {
    KILN_TRY_ASSIGN(owner.user, decode(in.owner().user()));
  }
  if (in.owner().has_group()) {
    KILN_TRY_ASSIGN(owner.group, decode(in.owner().group()));
  }
  return std::optional<Chown>(std::move(owner));
}

Result<CopyAction> decode(const pb::FileActionCopy& in) {
  KILN_TRY(known(in, "FileActionCopy"));
  CopyAction copy;
  copy.src = in.src();
  copy.dest = in.dest();
  KILN_TRY_ASSIGN(copy.owner, decode_owner(in));
  copy.mode = in.mode();
  copy.mode_str = in.modestr();
  copy.follow_symlink = in.followsymlink();
  copy.dir_copy_contents = in.dircopycontents();
  copy.attempt_unpack = in.attemptunpackdockercompatibility();
  copy.create_dest_path = in.createdestpath();
  copy.allow_wildcard = in.allowwildcard();
  copy.allow_empty_wildcard = in.allowemptywildcard();
  copy.timestamp = in.timestamp();
  copy.include_patterns = strings(in.include_patterns());
  copy.exclude_patterns = strings(in.exclude_patterns());
  copy.required_paths = strings(in.required_paths());
  copy.always_replace_existing_dest_paths = in.alwaysreplaceexistingdestpaths();
  return copy;
}

Result<MkFileAction> decode(const pb::FileActionMkFile& in) {
  KILN_TRY(known(in, "FileActionMkFile"));
  KILN_TRY_ASSIGN(std::optional<Chown> owner, decode_owner(in));
  return MkFileAction{in.path(), in.mode(), in.data(), std::move(owner), in.timestamp()};
}

Result<MkDirAction> decode(const pb::FileActionMkDir& in) {
  KILN_TRY(known(in, "FileActionMkDir"));
  KILN_TRY_ASSIGN(std::optional<Chown> owner, decode_owner(in));
  return MkDirAction{in.path(), in.mode(), in.makeparents(), std::move(owner), in.timestamp()};
}

Result<RmAction> decode(const pb::FileActionRm& in) {
  KILN_TRY(known(in, "FileActionRm"));
  return RmAction{in.path(), in.allownotfound(), in.allowwildcard()};
}

Result<SymlinkAction> decode(const pb::FileActionSymlink& in) {
  KILN_TRY(known(in, "FileActionSymlink"));
  KILN_TRY_ASSIGN(std::optional<Chown> owner, decode_owner(in));
  return SymlinkAction{in.oldpath(), in.newpath(), std::move(owner), in.timestamp()};
}

Status decode_kind(const pb::FileAction& in, FileAction& out) {
  const auto take = [&out](auto result) -> Status {
    if (!result) return tl::unexpected(std::move(result).error());
    out.action = *std::move(result);
    return {};
  };
  switch (in.action_case()) {
    case pb::FileAction::kCopy:
      return take(decode(in.copy()));
    case pb::FileAction::kMkfile:
      return take(decode(in.mkfile()));
    case pb::FileAction::kMkdir:
      return take(decode(in.mkdir()));
    case pb::FileAction::kRm:
      return take(decode(in.rm()));
    case pb::FileAction::kSymlink:
      return take(decode(in.symlink()));
    case pb::FileAction::ACTION_NOT_SET:
      break;
  }
  return invalid("a file action does nothing");
}

Result<Op> decode(const pb::FileOp& in) {
  KILN_TRY(known(in, "FileOp"));
  FileOp op;
  for (const pb::FileAction& entry : in.actions()) {
    KILN_TRY(known(entry, "FileAction"));
    FileAction action;
    KILN_TRY_ASSIGN(action.input, index_of(entry.input(), "input"));
    KILN_TRY_ASSIGN(action.secondary_input, index_of(entry.secondaryinput(), "secondary input"));
    KILN_TRY_ASSIGN(action.output, index_of(entry.output(), "output"));
    KILN_TRY(decode_kind(entry, action));
    op.actions.push_back(std::move(action));
  }
  return Op(std::move(op));
}

Result<Op> decode(const pb::MergeOp& in) {
  KILN_TRY(known(in, "MergeOp"));
  MergeOp op;
  for (const pb::MergeInput& entry : in.inputs()) {
    KILN_TRY(known(entry, "MergeInput"));
    KILN_TRY_ASSIGN(const int index, index_of(entry.input(), "input"));
    op.inputs.push_back(index);
  }
  return Op(std::move(op));
}

Result<Op> decode(const pb::DiffOp& in) {
  KILN_TRY(known(in, "DiffOp"));
  KILN_TRY(known(in.lower(), "LowerDiffInput"));
  KILN_TRY(known(in.upper(), "UpperDiffInput"));
  DiffOp op;
  // An absent side is scratch; BuildKit's clients write -1 for it.
  if (in.has_lower()) {
    KILN_TRY_ASSIGN(op.lower, index_of(in.lower().input(), "lower input"));
  }
  if (in.has_upper()) {
    KILN_TRY_ASSIGN(op.upper, index_of(in.upper().input(), "upper input"));
  }
  return Op(std::move(op));
}

Result<std::optional<Op>> decode_body(const pb::Op& in) {
  switch (in.op_case()) {
    case pb::Op::kExec:
      return decode(in.exec());
    case pb::Op::kSource:
      return decode(in.source());
    case pb::Op::kFile:
      return decode(in.file());
    case pb::Op::kMerge:
      return decode(in.merge());
    case pb::Op::kDiff:
      return decode(in.diff());
    case pb::Op::kBuild:
      return fail(Code::kInvalidArgument, "nested builds (BuildOp) are not supported");
    case pb::Op::OP_NOT_SET:
      break;
  }
  return std::optional<Op>();
}

const char* body_name(const pb::Op& in) {
  switch (in.op_case()) {
    case pb::Op::kExec:
      return "exec op";
    case pb::Op::kSource:
      return "source op";
    case pb::Op::kFile:
      return "file op";
    case pb::Op::kMerge:
      return "merge op";
    case pb::Op::kDiff:
      return "diff op";
    case pb::Op::kBuild:
      return "build op";
    case pb::Op::OP_NOT_SET:
      break;
  }
  return "op without a kind that kiln knows";
}

Result<std::optional<Platform>> decode_platform(const pb::Op& in) {
  if (!in.has_platform()) return std::optional<Platform>();
  const pb::Platform& platform = in.platform();
  KILN_TRY(known(platform, "Platform"));
  if (!platform.osversion().empty() || platform.osfeatures_size() != 0) {
    return fail(Code::kInvalidArgument, "a platform with an OS version is not supported");
  }
  return std::optional<Platform>({platform.os(), platform.architecture(), platform.variant()});
}

Result<std::vector<DecodedInput>> decode_inputs(const pb::Op& in) {
  std::vector<DecodedInput> inputs;
  for (const pb::Input& entry : in.inputs()) {
    KILN_TRY(known(entry, "Input"));
    KILN_TRY_ASSIGN(const Digest digest, Digest::parse(entry.digest()));
    if (entry.index() < 0 || entry.index() > INT_MAX) {
      return fail(Code::kInvalidArgument,
                  "input index " + std::to_string(entry.index()) + " is out of range");
    }
    inputs.push_back({digest, static_cast<uint32_t>(entry.index())});
  }
  return inputs;
}

Result<DecodedOp> decode_parts(const pb::Op& in) {
  KILN_TRY(known(in, "Op"));
  if (in.has_constraints()) {
    KILN_TRY(known(in.constraints(), "WorkerConstraints"));
    if (in.constraints().filter_size() != 0) {
      return fail(Code::kInvalidArgument, "worker constraints are not supported");
    }
  }
  DecodedOp out;
  KILN_TRY_ASSIGN(out.inputs, decode_inputs(in));
  KILN_TRY_ASSIGN(out.platform, decode_platform(in));
  KILN_TRY_ASSIGN(out.op, decode_body(in));
  if (out.op) KILN_TRY(validate(*out.op, out.inputs.size()));
  return out;
}

}  // namespace

Result<DecodedOp> decode_op(std::string_view bytes) {
  pb::Op message;
  if (bytes.size() > INT_MAX ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(Code::kInvalidArgument, "not a protobuf pb.Op");
  }
  Result<DecodedOp> out = decode_parts(message);
  if (out) return out;
  return tl::unexpected(Error(Code::kInvalidArgument, out.error().message())
                            .hint(out.error().advice())
                            .wrap(body_name(message)));
}

}  // namespace kiln::llb
