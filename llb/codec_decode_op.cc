#include "llb/codec_decode_op.h"

#include "llb/codec_decode_parts.h"
#include "llb/validate.h"
#include "ops.pb.h"

#include <climits>
#include <utility>

namespace kiln::llb {
namespace {

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
    if (in.tmpfsopt().size() < 0) return fail(Code::kInvalidArgument, "a tmpfs size is negative");
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
    op.cdi_devices.push_back({device.name(), device.optional()});
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
  return Op(op);
}

Result<std::optional<Op>> decode_body(const pb::Op& in) {
  switch (in.op_case()) {
    case pb::Op::kExec:
      return decode(in.exec());
    case pb::Op::kSource:
      return decode(in.source());
    case pb::Op::kFile:
      return decode_file(in.file());
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
