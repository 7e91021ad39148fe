#include "solver/ops/exec_op.h"

#include <algorithm>

#include "base/strings.h"
#include "solver/ops/content_digest.h"
#include "solver/ops/exec_key.h"
#include "solver/ops/exec_mounts.h"

namespace kiln {
namespace {

constexpr int kOutOfMemoryKill = 137;

/// Output of the process as progress, as it comes.
class LogSink : public Sink {
 public:
  LogSink(JobContext& job, int stream) : job_(job), stream_(stream) {}
  Status write(std::span<const std::byte> data) override {
    job_.progress.on_event(LogChunk{job_.vertex, stream_, std::string(as_text(data))});
    return {};
  }

 private:
  JobContext& job_;
  const int stream_;
};

bool sets(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](const std::string& entry) {
    return std::string_view(entry).substr(0, entry.find('=')) == name;
  });
}

/// The CDI devices that a step gets.
struct StepDevices {
  std::vector<std::string> names;  // full ones
  CdiEdits edits;
};

class ExecOperation : public Operation {
 public:
  ExecOperation(const OpsEnvironment& environment, std::shared_ptr<CacheMounts> caches,
                const llb::Vertex& vertex, StepDevices devices)
      : environment_(environment),
        caches_(std::move(caches)),
        op_(std::get<llb::ExecOp>(vertex.op)),
        meta_(vertex.meta),
        platform_(vertex.platform.value_or(environment.platform)),
        devices_(std::move(devices)),
        uses_(input_uses(op_, vertex.inputs.size())) {}

  Result<CacheMap> cache_map(JobContext& /*job*/) override {
    CacheMap map;
    map.op = exec_key(op_, platform_, devices_.names);
    for (const ExecInputUse& use : uses_) {
      const bool whole = use.selectors.size() != 1;
      map.inputs.push_back({use.by_definition && !whole ? use.selectors.front() : std::string(),
                            !use.by_definition});
    }
    return map;
  }

  Result<Digest> content_key(size_t input, Ref& ref, JobContext& job) override {
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(job.stop));
    Hasher hasher;
    for (const std::string& selector : uses_.at(input).selectors) {
      KILN_TRY_ASSIGN(const Digest digest, path_digest(*view, selector, job.stop));
      hasher.update(digest.bytes());
    }
    return hasher.finish();
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> inputs, JobContext& job) override {
    if (meta_.ignore_cache) {
      for (const llb::ExecMount& mount : op_.mounts)
        if (mount.cache) KILN_TRY(caches_->prune_once(mount.cache->id, job.stop));
    }
    ExecMounts mounts(environment_, *caches_, inputs, job);
    KILN_TRY(mounts.prepare(op_));
    KILN_TRY(run(mounts, job));
    return mounts.commit();
  }

 private:
  Status run(const ExecMounts& mounts, JobContext& job) {
    LogSink out(job, 1);
    LogSink err(job, 2);
    ExecRequest request;
    request.rootfs = mounts.rootfs();
    request.read_only_rootfs = mounts.is_rootfs_read_only();
    request.mounts = mounts.mounts();
    request.meta = op_.meta;
    if (!request.meta.proxy_env) request.meta.proxy_env = environment_.proxy_env;
    if (request.meta.ulimits.empty()) request.meta.ulimits = environment_.ulimits;
    request.network = op_.network;
    request.security = op_.security;
    request.resources = meta_.resources.value_or(environment_.resources);
    request.add_hosts = environment_.add_hosts;
    KILN_TRY_ASSIGN(request.devices, resolve_devices(devices_.edits));
    KILN_TRY(add_secret_env(request));
    add_agent_env(request);
    request.out = &out;
    request.err = &err;
    auto exit = environment_.executor->run(request, job.stop);
    if (!exit) return tl::unexpected(exit.error().wrap("process " + command() + " did not run"));
    return judge(*exit);
  }

  Status add_secret_env(ExecRequest& request) const {
    for (const llb::SecretEnv& secret : op_.secret_env) {
      KILN_TRY_ASSIGN(
          const auto value,
          read_secret(environment_, secret.id, secret.optional ? Optional::kYes : Optional::kNo));
      // An optional secret that is not there leaves its variable set, but empty.
      request.extra_env.push_back(secret.name + "=" + value.value_or(""));
    }
    return {};
  }

  void add_agent_env(ExecRequest& request) const {
    if (sets(op_.meta.env, "SSH_AUTH_SOCK")) return;
    const auto ssh = std::find_if(op_.mounts.begin(), op_.mounts.end(), [](const auto& mount) {
      return mount.type == llb::MountType::kSsh;
    });
    if (ssh != op_.mounts.end()) request.extra_env.push_back("SSH_AUTH_SOCK=" + ssh->dest);
  }

  std::string command() const { return quote(join(op_.meta.args, " ")); }

  Status judge(const ExitInfo& exit) const {
    const auto& valid = op_.meta.valid_exit_codes;
    const bool fine = valid.empty()
                          ? exit.code == 0
                          : std::find(valid.begin(), valid.end(), exit.code) != valid.end();
    if (fine) return {};
    Error error(Code::kFailedPrecondition,
                "process " + command() +
                    " did not complete successfully: exit code: " + std::to_string(exit.code));
    if (exit.oom_killed)
      error = error.hint("it ran out of memory: give it more with --memory");
    else if (exit.code == kOutOfMemoryKill)
      error = error.hint("it was killed (SIGKILL): perhaps the machine ran out of memory");
    return tl::unexpected(error);
  }

  const OpsEnvironment& environment_;
  const std::shared_ptr<CacheMounts> caches_;
  const llb::ExecOp op_;
  const llb::Meta meta_;
  const Platform platform_;
  const StepDevices devices_;
  const std::vector<ExecInputUse> uses_;
};

Status check_mounts(const llb::ExecOp& op, size_t inputs) {
  int roots = 0;
  for (const llb::ExecMount& mount : op.mounts) {
    roots += clean_path(mount.dest) == "/" ? 1 : 0;
    if (mount.input < llb::kNoIndex || mount.input >= static_cast<int>(inputs))
      return fail(Code::kInvalidArgument,
                  "mount " + quote(mount.dest) + " has no input " + std::to_string(mount.input));
    if (mount.output < llb::kNoIndex || mount.output > static_cast<int>(op.mounts.size()))
      return fail(Code::kInvalidArgument, "mount " + quote(mount.dest) +
                                              " has the impossible output " +
                                              std::to_string(mount.output));
  }
  if (roots == 1) return {};
  return fail(Code::kInvalidArgument,
              "a command needs one root mount, not " + std::to_string(roots));
}

Status check_leave(const OpsEnvironment& environment, const llb::ExecOp& op) {
  const auto denied = [](std::string_view what, std::string_view flag) {
    return tl::unexpected(Error(Code::kPermissionDenied, std::string(what) + " is not allowed")
                              .hint("allow it with --allow " + std::string(flag)));
  };
  if (op.network == llb::NetMode::kHost && environment.host_network == HostNetwork::kDenied)
    return denied("the host's network", "network.host");
  if (op.security == llb::SecurityMode::kInsecure &&
      environment.insecure_steps == InsecureSteps::kDenied)
    return denied("running insecurely", "security.insecure");
  return {};
}

/// The specs are read only where a step has devices.
Result<StepDevices> devices_of(const OpsEnvironment& environment, const llb::ExecOp& op) {
  StepDevices devices;
  if (op.cdi_devices.empty()) return devices;
  const CdiRegistry registry = CdiRegistry::read(environment.cdi_directories);
  KILN_TRY_ASSIGN(devices.names,
                  granted_devices(registry, environment.device_grants, op.cdi_devices));
  KILN_TRY_ASSIGN(devices.edits, registry.edits(devices.names));
  return devices;
}

}  // namespace

Result<std::unique_ptr<Operation>> make_exec_op(const OpsEnvironment& environment,
                                                std::shared_ptr<CacheMounts> caches,
                                                const llb::Vertex& vertex) {
  const auto& op = std::get<llb::ExecOp>(vertex.op);
  KILN_TRY(check_mounts(op, vertex.inputs.size()));
  KILN_TRY(check_leave(environment, op));
  KILN_TRY_ASSIGN(StepDevices devices, devices_of(environment, op));
  return std::make_unique<ExecOperation>(environment, std::move(caches), vertex,
                                         std::move(devices));
}

}  // namespace kiln
