// Executor by way of an OCI runtime. The runtime is init of a pid namespace of its own
// (ProcessSpec::isolation): when it ends, or kiln or this thread dies, the kernel ends all that the
// step started, and the runtime's mounts vanish with its mount namespace.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/platform.h"
#include "base/process.h"
#include "base/strings.h"
#include "base/workers.h"
#include "solver/executor/base64.h"
#include "solver/executor/cgroup_hierarchy.h"
#include "solver/executor/etc_files.h"
#include "solver/executor/executor.h"
#include "solver/executor/foreign_program.h"
#include "solver/executor/network.h"
#include "solver/executor/output_pump.h"
#include "solver/executor/own_capabilities.h"
#include "solver/executor/run_directory.h"
#include "solver/executor/runtime.h"
#include "solver/executor/seccomp.h"
#include "solver/executor/spec.h"
#include "solver/executor/step_cgroup.h"
#include "solver/executor/step_environment.h"
#include "solver/executor/step_root.h"
#include "solver/executor/ulimits.h"

namespace kiln {
namespace {

constexpr const char* kDefaultHostname = "buildkitsandbox";  // BuildKit's: it shows in hosts
constexpr const char* kNamePrefix = "kiln-";
constexpr int64_t kPidsLimit = 16384;
constexpr uint64_t kMaxFileBytes = 1U << 20U;
constexpr int kSignalBase = 128;

class NullSink : public Sink {
 public:
  Status write(std::span<const std::byte>) override { return {}; }
};

// What the runtime reads, on disk for as long as the step runs.
class Bundle {
 public:
  static Result<Bundle> create(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0) return fail_errno("make bundle", path);
    return Bundle(path);
  }
  Bundle(Bundle&& other) noexcept : path_(std::exchange(other.path_, std::string())) {}
  Bundle& operator=(Bundle&&) = delete;
  ~Bundle() {
    if (!path_.empty()) (void)remove_tree(path_);  // what stays is swept at the next start
  }

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  /// Readable for every user of the step, whatever kiln's umask is.
  Result<std::string> add(std::string_view name, std::string_view text) const {
    std::string path = file(name);
    KILN_TRY(write_file(path, text));
    if (::chmod(path.c_str(), 0644) != 0) return fail_errno("chmod", path);
    return path;
  }

 private:
  explicit Bundle(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// What all steps share and the first one pays for: an executor that runs nothing costs nothing.
struct Shared {
  Runtime runtime;
  std::string seccomp_filter;  // base64; empty if it could not be compiled
  std::string resolv_conf;     // the machine's
};

/// What a step had and somebody else can clear away: the next step need not wait for it.
struct Leftovers {
  std::unique_ptr<StepNetwork> network;
  std::optional<StepCgroup> cgroup;
  std::optional<Bundle> bundle;
};

class ClearedLater {
 public:
  explicit ClearedLater(WorkerPool& cleaner) : cleaner_(cleaner) {}
  ~ClearedLater() {
    cleaner_.submit([leftovers = std::move(leftovers_)] {});
  }
  ClearedLater(const ClearedLater&) = delete;
  ClearedLater& operator=(const ClearedLater&) = delete;
  Leftovers* operator->() { return leftovers_.get(); }

 private:
  WorkerPool& cleaner_;
  std::shared_ptr<Leftovers> leftovers_ = std::make_shared<Leftovers>();
};

class OciExecutor : public Executor {
 public:
  OciExecutor(ExecutorConfig config, RunDirectory directory, CgroupHierarchies cgroups)
      : config_(std::move(config)),
        directory_(std::move(directory)),
        cgroups_(std::move(cgroups)),
        capabilities_(own_capabilities()) {}

  Result<ExitInfo> run(const ExecRequest& request, std::stop_token stop) override {
    if (request.meta.args.empty())
      return fail(Code::kInvalidArgument, "a step needs a command to run");
    KILN_TRY(check_ulimits(request.meta.ulimits, capabilities_));
    std::call_once(once_, [this] { shared_ = make_shared_parts(); });
    if (!shared_) return tl::unexpected(shared_.error());
    if (stop.stop_requested()) return fail(Code::kCancelled, "the step was cancelled");
    SpecInput spec = fixed_parts(request);
    KILN_TRY_ASSIGN(StepRoot root, StepRoot::prepare(request, spec));
    apply_devices(request, spec);
    KILN_TRY(check_architecture(request, spec));
    auto exit = run_prepared(request, spec, stop);
    const Status cleaned = root.clean_up();
    if (exit && !cleaned)
      return tl::unexpected(cleaned.error().wrap("take mount points out of the step's result"));
    return exit;
  }

 private:
  Result<Shared> make_shared_parts() {
    KILN_TRY_ASSIGN(Runtime runtime,
                    Runtime::find(config_.runtime, config_.runtime_name, config_.search_path));
    // Without a compiled filter the runtime compiles its own from the spec.
    std::string filter;
    if (runtime.takes_compiled_filter()) filter = base64(compile_seccomp().value_or(std::string()));
    std::string resolv_conf = read_file(config_.resolv_conf, kMaxFileBytes).value_or(std::string());
    NetworkConfig network;
    network.search_path = config_.search_path;
    network.prepared_networks = config_.prepared_networks;
    network.forward_dns = needs_dns_forwarder(resolv_conf);
    networks_ = Networks::make(std::move(network));
    return Shared{std::move(runtime), std::move(filter), std::move(resolv_conf)};
  }

  /// The rest of what devices add is in fixed_parts(), or a mount.
  static void apply_devices(const ExecRequest& request, SpecInput& spec) {
    std::vector<std::string> env = request.devices.env;
    env.insert(env.end(), request.extra_env.begin(), request.extra_env.end());
    spec.env = step_environment(request.meta, env, spec.user.home);
    std::vector<uint32_t>& gids = spec.user.additional_gids;
    gids.insert(gids.end(), request.devices.additional_gids.begin(),
                request.devices.additional_gids.end());
    std::sort(gids.begin(), gids.end());
    gids.erase(std::unique(gids.begin(), gids.end()), gids.end());
  }

  static Status check_architecture(const ExecRequest& request, const SpecInput& spec) {
    constexpr std::string_view kPath = "PATH=";
    ProgramLookup lookup{request.meta.args.front(), spec.cwd, "", {}};
    for (const std::string& variable : spec.env)
      if (variable.starts_with(kPath)) lookup.path = variable.substr(kPath.size());
    for (const SandboxMount& mount : spec.mounts) lookup.mount_targets.push_back(mount.target);
    KILN_TRY_ASSIGN(const Root rootfs, Root::open(request.rootfs));
    return check_program(rootfs, lookup);
  }

  SpecInput fixed_parts(const ExecRequest& request) const {
    SpecInput spec;
    spec.rootfs = request.rootfs;
    spec.read_only_rootfs = request.read_only_rootfs;
    spec.args = request.meta.args;
    spec.hostname = request.meta.hostname.empty() ? kDefaultHostname : request.meta.hostname;
    spec.ulimits = request.meta.ulimits;
    spec.security = request.security;
    spec.resources = request.resources;
    spec.available_capabilities = capabilities_;
    spec.architecture = Platform::host().architecture;
    spec.seccomp_filter = shared_->seccomp_filter;
    spec.device_nodes = request.devices.nodes;
    spec.hooks = request.devices.hooks;
    spec.cgroup_view = shows_cgroups(request) ? CgroupView::kMounted : CgroupView::kNone;
    return spec;
  }

  /// Version 1 takes a mount a controller, a third of all that a step mounts. Where there is no
  /// limit to be read there, it is left out.
  bool shows_cgroups(const ExecRequest& request) const {
    if (cgroups_.is_absent()) return false;
    llb::Resources limits = request.resources;
    limits.shm_bytes = 0;
    return cgroups_.v1_mount_points.empty() || limits != llb::Resources() ||
           request.security == llb::SecurityMode::kInsecure;
  }

  Result<ExitInfo> run_prepared(const ExecRequest& request, SpecInput& spec,
                                const std::stop_token& stop) {
    const std::string number = std::to_string(next_.fetch_add(1));
    const std::string name = kNamePrefix + directory_.id() + "-" + number;
    ClearedLater step(cleaner_);
    KILN_TRY_ASSIGN(step->network, networks_->acquire(request.network));
    KILN_TRY_ASSIGN(step->cgroup, make_cgroup(request, name, spec));
    KILN_TRY_ASSIGN(Bundle made, Bundle::create(directory_.path() + "/" + number));
    const Bundle& bundle = step->bundle.emplace(std::move(made));
    const StepNetwork& network = *step->network;
    KILN_TRY(fill(bundle, request, network, spec));
    ProcessSpec process = runtime_process(bundle, name, network, *step->cgroup);
    NullSink nowhere;
    Sink& out = request.out != nullptr ? *request.out : nowhere;
    Sink& err = request.err != nullptr ? *request.err : nowhere;
    KILN_TRY_ASSIGN(const ExitStatus status, run_runtime(process, out, err, stop));
    KILN_TRY_ASSIGN(const ExitInfo exit, outcome(status, bundle, request, *step->cgroup));
    if (exit.code != 0)
      if (const auto failure = network.failure()) KILN_TRY(tell(*failure, err));
    return exit;
  }

  Result<StepCgroup> make_cgroup(const ExecRequest& request, const std::string& name,
                                 SpecInput& spec) const {
    if (shared_->runtime.kind() == Runtime::Kind::kOther) {
      spec.runtime_cgroup = RuntimeCgroup{"/" + name, kPidsLimit};
      return StepCgroup::left_to_runtime(cgroups_, name);
    }
    StepCgroup::Limits limits{request.resources, kPidsLimit, DeviceAccess::kConfined, {}};
    for (const SandboxDevice& device : request.devices.nodes)
      if (device.type != 'p' && !device.access.empty())
        limits.allowed_devices.push_back({device.type, device.major, device.minor, device.access});
    if (request.security == llb::SecurityMode::kInsecure)
      limits.devices = DeviceAccess::kUnconfined;
    KILN_TRY_ASSIGN(StepCgroup cgroup, StepCgroup::create(cgroups_, name, limits));
    spec.devices = cgroup.devices();
    return cgroup;
  }

  Status fill(const Bundle& bundle, const ExecRequest& request, const StepNetwork& network,
              SpecInput& spec) const {
    std::vector<llb::HostIp> hosts = request.meta.extra_hosts;
    hosts.insert(hosts.end(), request.add_hosts.begin(), request.add_hosts.end());
    std::string gateway;
    for (const llb::HostIp& host : hosts)
      if (host.ip == "host-gateway" && gateway.empty()) {
        KILN_TRY_ASSIGN(gateway, primary_address());
      }
    KILN_TRY_ASSIGN(spec.hosts, bundle.add("hosts", hosts_text(spec.hostname, hosts, gateway)));
    KILN_TRY_ASSIGN(
        spec.resolv_conf,
        bundle.add("resolv.conf", resolv_conf_text(shared_->resolv_conf, request.network,
                                                   TapAddresses::kForwarder)));
    if (network.namespace_fd() >= 0) {
      KILN_TRY_ASSIGN(spec.network_namespace, bundle.add("netns", ""));
    }
    KILN_TRY(bundle.add("config.json", runtime_spec(spec).dump()));
    return {};
  }

  ProcessSpec runtime_process(const Bundle& bundle, const std::string& name,
                              const StepNetwork& network, const StepCgroup& cgroup) const {
    ProcessSpec process;
    process.program = shared_->runtime.program();
    process.argv = shared_->runtime.run_arguments(bundle.path(), name);
    process.env = {"PATH=" + config_.search_path};
    process.cgroup_procs = cgroup.join_files();
    process.isolation.emplace();
    // crun refuses a machine that has both versions; where version 2 is not mounted it sees one.
    if (cgroups_.is_hybrid()) process.isolation->unmounts = {cgroups_.v2->mount_point};
    if (network.namespace_fd() >= 0)
      process.isolation->mounts.push_back({network.namespace_fd(), bundle.file("netns")});
    return process;
  }

  static Result<ExitStatus> run_runtime(ProcessSpec& process, Sink& out, Sink& err,
                                        const std::stop_token& stop) {
    KILN_TRY_ASSIGN(Pipe out_pipe, Pipe::create());
    KILN_TRY_ASSIGN(Pipe err_pipe, Pipe::create());
    process.out = out_pipe.write_end.get();
    process.err = err_pipe.write_end.get();
    KILN_TRY_ASSIGN(Child child, Child::spawn(process));
    out_pipe.write_end.reset();
    err_pipe.write_end.reset();
    return pump_output(child, {std::move(out_pipe.read_end), std::move(err_pipe.read_end)}, out,
                       err, stop);
  }

  static Result<ExitInfo> outcome(const ExitStatus& status, const Bundle& bundle,
                                  const ExecRequest& request, const StepCgroup& cgroup) {
    ExitInfo exit;
    exit.code = status.signal != 0 ? kSignalBase + status.signal : status.code;
    exit.signal = status.signal;
    exit.oom_killed = exit.code != 0 && cgroup.oom_killed();
    exit.peak_memory_bytes = cgroup.peak_memory_bytes();
    if (exit.code == 0) return exit;
    const auto log = read_file(Runtime::log_file(bundle.path()), kMaxFileBytes);
    if (!log) return exit;
    if (auto error = runtime_error(*log, request.meta.args.front()))
      return tl::unexpected(*std::move(error));
    return exit;
  }

  static Status tell(const Error& failure, Sink& err) {
    std::string text = "kiln: no network: " + failure.message() + "\n";
    if (!failure.advice().empty()) text += "hint: " + failure.advice() + "\n";
    return err.write(as_bytes(text));
  }

  const ExecutorConfig config_;
  const RunDirectory directory_;
  const CgroupHierarchies cgroups_;
  const uint64_t capabilities_;
  std::once_flag once_;
  Result<Shared> shared_ = fail(Code::kInternal, "the executor was not set up");
  std::unique_ptr<Networks> networks_;
  std::atomic<uint64_t> next_{0};
  WorkerPool cleaner_{1};  // last: what it clears away needs the networks and the directory
};

}  // namespace

Result<std::unique_ptr<Executor>> make_oci_executor(const ExecutorConfig& config) {
  KILN_TRY_ASSIGN(CgroupHierarchies cgroups, detect_cgroups());
  std::vector<std::string> swept;
  KILN_TRY_ASSIGN(RunDirectory directory, RunDirectory::open(config.run_directory, swept));
  for (const std::string& id : swept) sweep_cgroups(cgroups, kNamePrefix + id + "-");
  return std::make_unique<OciExecutor>(config, std::move(directory), std::move(cgroups));
}

}  // namespace kiln
