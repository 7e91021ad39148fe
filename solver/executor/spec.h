// From a step whose names are all resolved to the runtime-spec's config.json (config.md,
// config-linux.md). A pure function: it reads nothing and its result depends on its argument alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "llb/op.h"
#include "solver/executor/executor.h"
#include "solver/executor/user.h"

namespace kiln {

/// crun(1), "run.oci.seccomp_bpf_data".
constexpr const char* kCompiledFilterAnnotation = "run.oci.seccomp_bpf_data";

enum class CgroupView : uint8_t {
  kNone,    // the machine has no cgroup file system that could be shown
  kMounted  // read-only, or writable in an insecure sandbox
};

/// May the step's cgroup open devices at will? Then a sandbox may at least not make any.
enum class DeviceAccess : uint8_t { kConfined, kUnconfined };

/// What a runtime that makes the step's cgroup itself needs to know.
struct RuntimeCgroup {
  std::string path;        // "cgroupsPath"
  int64_t pids_limit = 0;  // 0: none
};

struct SpecInput {
  std::string rootfs;  // absolute
  bool read_only_rootfs = false;
  std::vector<std::string> args, env;  // complete, in order
  std::string cwd = "/";               // absolute, free of symlinks
  User user;
  std::string hostname;
  std::vector<llb::Ulimit> ulimits;
  llb::SecurityMode security = llb::SecurityMode::kSandbox;
  std::vector<SandboxMount> mounts;  // targets free of symlinks; in order
  std::string resolv_conf, hosts;    // files to show; targets below
  std::string resolv_conf_target = "/etc/resolv.conf", hosts_target = "/etc/hosts";
  std::string network_namespace;  // a path; empty: kiln's own
  DeviceAccess devices = DeviceAccess::kConfined;
  CgroupView cgroup_view = CgroupView::kMounted;
  std::optional<RuntimeCgroup> runtime_cgroup;
  std::vector<SandboxDevice> device_nodes;  // beside those that every sandbox has
  std::vector<CdiHook> hooks;               // programs of the machine that the runtime runs
  llb::Resources resources;                 // shm_bytes always; the rest with runtime_cgroup
  uint64_t available_capabilities = ~0ULL;  // a mask; what kiln lacks cannot be passed on
  std::string architecture;                 // for the seccomp profile
  std::string
      seccomp_filter;  // base64, in place of the profile, for runtimes that take it compiled
};

/// Mounts that every sandbox has; a mount target at or below one of them (but "/etc/…") needs no
/// stub in the root file system.
const std::vector<std::string>& system_mount_targets();  // "/proc", "/dev", "/sys"

Json runtime_spec(const SpecInput& input);

}  // namespace kiln
