#include "solver/executor/spec.h"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "solver/executor/seccomp.h"

namespace kiln {
namespace {

constexpr uint64_t kDefaultShmBytes = 64U << 20U;
constexpr uint32_t kDefaultDeviceMode = 0666;

struct Capability {
  int number;
  const char* name;
};
constexpr std::array<Capability, 41> kCapabilities = {{
    {CAP_CHOWN, "CAP_CHOWN"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
    {CAP_FOWNER, "CAP_FOWNER"},
    {CAP_FSETID, "CAP_FSETID"},
    {CAP_KILL, "CAP_KILL"},
    {CAP_SETGID, "CAP_SETGID"},
    {CAP_SETUID, "CAP_SETUID"},
    {CAP_SETPCAP, "CAP_SETPCAP"},
    {CAP_LINUX_IMMUTABLE, "CAP_LINUX_IMMUTABLE"},
    {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"},
    {CAP_NET_BROADCAST, "CAP_NET_BROADCAST"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    {CAP_NET_RAW, "CAP_NET_RAW"},
    {CAP_IPC_LOCK, "CAP_IPC_LOCK"},
    {CAP_IPC_OWNER, "CAP_IPC_OWNER"},
    {CAP_SYS_MODULE, "CAP_SYS_MODULE"},
    {CAP_SYS_RAWIO, "CAP_SYS_RAWIO"},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
    {CAP_SYS_PACCT, "CAP_SYS_PACCT"},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
    {CAP_SYS_BOOT, "CAP_SYS_BOOT"},
    {CAP_SYS_NICE, "CAP_SYS_NICE"},
    {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE"},
    {CAP_SYS_TIME, "CAP_SYS_TIME"},
    {CAP_SYS_TTY_CONFIG, "CAP_SYS_TTY_CONFIG"},
    {CAP_MKNOD, "CAP_MKNOD"},
    {CAP_LEASE, "CAP_LEASE"},
    {CAP_AUDIT_WRITE, "CAP_AUDIT_WRITE"},
    {CAP_AUDIT_CONTROL, "CAP_AUDIT_CONTROL"},
    {CAP_SETFCAP, "CAP_SETFCAP"},
    {CAP_MAC_OVERRIDE, "CAP_MAC_OVERRIDE"},
    {CAP_MAC_ADMIN, "CAP_MAC_ADMIN"},
    {CAP_SYSLOG, "CAP_SYSLOG"},
    {CAP_WAKE_ALARM, "CAP_WAKE_ALARM"},
    {CAP_BLOCK_SUSPEND, "CAP_BLOCK_SUSPEND"},
    {CAP_AUDIT_READ, "CAP_AUDIT_READ"},
    {CAP_PERFMON, "CAP_PERFMON"},
    {CAP_BPF, "CAP_BPF"},
    {CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE"},
}};

constexpr uint64_t bit(int capability) {
  return 1ULL << static_cast<unsigned>(capability);
}

// Docker's default set.
constexpr uint64_t kDefaultCapabilities =
    bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FSETID) | bit(CAP_FOWNER) | bit(CAP_MKNOD) |
    bit(CAP_NET_RAW) | bit(CAP_SETGID) | bit(CAP_SETUID) | bit(CAP_SETFCAP) | bit(CAP_SETPCAP) |
    bit(CAP_NET_BIND_SERVICE) | bit(CAP_SYS_CHROOT) | bit(CAP_KILL) | bit(CAP_AUDIT_WRITE);

bool is_insecure(const SpecInput& input) {
  return input.security == llb::SecurityMode::kInsecure;
}

Json capabilities(const SpecInput& input) {
  uint64_t wanted = is_insecure(input) ? ~0ULL : kDefaultCapabilities;
  if (!is_insecure(input) && input.devices == DeviceAccess::kUnconfined) wanted &= ~bit(CAP_MKNOD);
  std::vector<std::string> names;
  for (const Capability& capability : kCapabilities)
    if ((wanted & input.available_capabilities & bit(capability.number)) != 0)
      names.emplace_back(capability.name);
  const Json set = Json::array_of(names);
  return Json::object({{"bounding", set},
                       {"effective", set},
                       {"permitted", set},
                       {"inheritable", Json::array()},
                       {"ambient", Json::array()}});
}

Json user(const User& user) {
  Json additional = Json::array();
  for (const uint32_t gid : user.additional_gids) additional.push_back(uint64_t{gid});
  return Json::object({{"uid", uint64_t{user.uid}},
                       {"gid", uint64_t{user.gid}},
                       {"additionalGids", std::move(additional)}});
}

uint64_t limit_value(int64_t value) {
  return value < 0 ? ~0ULL : static_cast<uint64_t>(value);  // -1: RLIM_INFINITY
}

Json process(const SpecInput& input) {
  Json out = Json::object({{"terminal", false},
                           {"user", user(input.user)},
                           {"args", Json::array_of(input.args)},
                           {"env", Json::array_of(input.env)},
                           {"cwd", input.cwd},
                           {"capabilities", capabilities(input)},
                           {"noNewPrivileges", false}});
  Json limits = Json::array();
  for (const llb::Ulimit& limit : input.ulimits)
    limits.push_back(Json::object({{"type", "RLIMIT_" + to_upper(limit.name)},
                                   {"hard", limit_value(limit.hard)},
                                   {"soft", limit_value(limit.soft)}}));
  if (!input.ulimits.empty()) out.set("rlimits", std::move(limits));
  return out;
}

struct MountEntry {
  std::string target, type, source;
  std::vector<std::string> options;
};

Json to_json(const MountEntry& mount) {
  return Json::object({{"destination", mount.target},
                       {"type", mount.type},
                       {"source", mount.source},
                       {"options", Json::array_of(mount.options)}});
}

std::vector<MountEntry> system_mounts(const SpecInput& input) {
  const uint64_t shm =
      input.resources.shm_bytes == 0 ? kDefaultShmBytes : input.resources.shm_bytes;
  const char* access = is_insecure(input) ? "rw" : "ro";
  std::vector<MountEntry> mounts = {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/dev/shm",
       "tmpfs",
       "shm",
       {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(shm)}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}},
  };
  if (input.cgroup_view == CgroupView::kMounted)
    mounts.push_back(
        {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access}});
  return mounts;
}

MountEntry step_mount(const SandboxMount& mount) {
  MountEntry out;
  out.target = mount.target;
  if (mount.tmpfs) {
    out.type = "tmpfs";
    out.source = "tmpfs";
    out.options = {"nosuid"};
    if (mount.tmpfs_size_bytes != 0)
      out.options.push_back("size=" + std::to_string(mount.tmpfs_size_bytes));
  } else {
    out.type = "bind";
    out.source = mount.source;
    out.options = {"rbind"};
  }
  out.options.emplace_back(mount.read_only ? "ro" : "rw");
  out.options.insert(out.options.end(), mount.options.begin(), mount.options.end());
  return out;
}

Json mounts(const SpecInput& input) {
  std::vector<MountEntry> entries = system_mounts(input);
  const std::vector<std::string> generated = {"rbind", "nosuid", "nodev", "noexec", "ro"};
  if (!input.resolv_conf.empty())
    entries.push_back({input.resolv_conf_target, "bind", input.resolv_conf, generated});
  if (!input.hosts.empty()) entries.push_back({input.hosts_target, "bind", input.hosts, generated});
  for (const SandboxMount& mount : input.mounts) entries.push_back(step_mount(mount));
  Json out = Json::array();
  for (const MountEntry& entry : entries) out.push_back(to_json(entry));
  return out;
}

Json namespaces(const SpecInput& input) {
  Json out = Json::array();
  for (const char* type : {"pid", "ipc", "uts", "mount", "cgroup"})
    out.push_back(Json::object({{"type", type}}));
  if (!input.network_namespace.empty())
    out.push_back(Json::object({{"type", "network"}, {"path", input.network_namespace}}));
  return out;
}

void add_limits(const llb::Resources& limits, Json& resources) {
  Json memory = Json::object();
  if (limits.memory_bytes != 0) memory.set("limit", limits.memory_bytes);
  if (limits.memory_swap_bytes != 0) memory.set("swap", limits.memory_swap_bytes);
  if (!memory.members().empty()) resources.set("memory", std::move(memory));
  Json cpu = Json::object();
  if (limits.cpu_shares != 0) cpu.set("shares", limits.cpu_shares);
  if (limits.cpu_quota_us != 0) cpu.set("quota", limits.cpu_quota_us);
  if (limits.cpu_period_us != 0) cpu.set("period", limits.cpu_period_us);
  if (!limits.cpuset_cpus.empty()) cpu.set("cpus", limits.cpuset_cpus);
  if (!limits.cpuset_mems.empty()) cpu.set("mems", limits.cpuset_mems);
  if (!cpu.members().empty()) resources.set("cpu", std::move(cpu));
}

Json device_rules(const SpecInput& input) {
  // Runtimes add what every container needs (/dev/null, …) to a refusal of all devices.
  Json rules = Json::array({Json::object({{"allow", is_insecure(input)}, {"access", "rwm"}})});
  for (const SandboxDevice& device : input.device_nodes)
    if (device.type != 'p' && !device.access.empty())
      rules.push_back(Json::object({{"allow", true},
                                    {"type", std::string(1, device.type)},
                                    {"major", uint64_t{device.major}},
                                    {"minor", uint64_t{device.minor}},
                                    {"access", device.access}}));
  return rules;
}

// runtime-spec config-linux.md, "Devices".
void add_devices(const SpecInput& input, Json& out) {
  if (input.device_nodes.empty()) return;
  Json nodes = Json::array();
  for (const SandboxDevice& device : input.device_nodes) {
    Json node = Json::object({{"path", device.path}, {"type", std::string(1, device.type)}});
    if (device.type != 'p') {
      node.set("major", uint64_t{device.major});
      node.set("minor", uint64_t{device.minor});
    }
    node.set("fileMode", uint64_t{device.file_mode.value_or(kDefaultDeviceMode)});
    node.set("uid", uint64_t{device.uid.value_or(input.user.uid)});
    node.set("gid", uint64_t{device.gid.value_or(input.user.gid)});
    nodes.push_back(std::move(node));
  }
  out.set("devices", std::move(nodes));
}

Json hooks(const SpecInput& input) {
  Json out = Json::object();
  for (const CdiHook& hook : input.hooks) {
    Json entry = Json::object({{"path", hook.path}});
    if (!hook.args.empty()) entry.set("args", Json::array_of(hook.args));
    if (!hook.env.empty()) entry.set("env", Json::array_of(hook.env));
    if (hook.timeout_seconds) entry.set("timeout", uint64_t{*hook.timeout_seconds});
    out.member(hook.name).push_back(std::move(entry));
  }
  return out;
}

void add_cgroup(const SpecInput& input, Json& out) {
  if (!input.runtime_cgroup) return;
  Json resources = Json::object({{"devices", device_rules(input)}});
  if (input.runtime_cgroup->pids_limit != 0)
    resources.set("pids", Json::object({{"limit", input.runtime_cgroup->pids_limit}}));
  add_limits(input.resources, resources);
  out.set("cgroupsPath", input.runtime_cgroup->path);
  out.set("resources", std::move(resources));
}

Json linux_part(const SpecInput& input) {
  Json out = Json::object({{"namespaces", namespaces(input)}});
  add_devices(input, out);
  add_cgroup(input, out);
  if (is_insecure(input)) return out;
  // Reading and compiling the profile costs crun 28 of 54 ms of processor time a step.
  if (input.seccomp_filter.empty()) out.set("seccomp", seccomp_spec(input.architecture));
  out.set("maskedPaths",
          Json::array_of({"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore",
                          "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
                          "/sys/devices/virtual/powercap"}));
  out.set("readonlyPaths", Json::array_of({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                           "/proc/sysrq-trigger"}));
  return out;
}

}  // namespace

const std::vector<std::string>& system_mount_targets() {
  static const std::vector<std::string> kTargets = {"/proc", "/dev", "/sys"};
  return kTargets;
}

Json runtime_spec(const SpecInput& input) {
  Json out = Json::object(
      {{"ociVersion", "1.0.2"},
       {"process", process(input)},
       {"root", Json::object({{"path", input.rootfs}, {"readonly", input.read_only_rootfs}})},
       {"hostname", input.hostname},
       {"mounts", mounts(input)},
       {"linux", linux_part(input)}});
  if (!is_insecure(input) && !input.seccomp_filter.empty())
    out.set("annotations", Json::object({{kCompiledFilterAnnotation, input.seccomp_filter}}));
  if (!input.hooks.empty()) out.set("hooks", hooks(input));
  return out;
}

}  // namespace kiln
