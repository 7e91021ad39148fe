// Running one command in a sandbox: one blocking call. Linux containers by way of an OCI runtime
// (oci_runtime.h); what a sandbox guarantees is SAFETY.md 2 and the contract suite.
#pragma once

#include "base/io.h"
#include "base/result.h"
#include "llb/op.h"
#include "snapshotter/types.h"
#include "solver/executor/device_edits.h"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln {

struct SandboxMount {
  std::string source;  // a path in kiln's mount namespace: directory or file; "" for tmpfs
  std::string target;  // absolute path in the container
  bool read_only = false;
  bool tmpfs = false;
  uint64_t tmpfs_size_bytes = 0;
  std::vector<std::string> options;  // further ones
};

struct ExecRequest {
  std::string rootfs;  // a mounted, writable tree in kiln's mount namespace (or read-only)
  bool read_only_rootfs = false;
  std::vector<SandboxMount>
      mounts;          // in order; targets exist already (the caller makes and removes stubs)
  llb::ExecMeta meta;  // user is resolved against the rootfs' /etc/passwd and /etc/group
  llb::NetMode network = llb::NetMode::kSandbox;
  llb::SecurityMode security = llb::SecurityMode::kSandbox;
  llb::Resources resources;
  std::vector<llb::HostIp> add_hosts;
  DeviceEdits devices;                 // of RUN --device
  std::vector<std::string> extra_env;  // secrets: never logged, never part of errors
  Sink* out = nullptr;                 // borrowed until run() returns; written by one thread each
  Sink* err = nullptr;
};

struct ExitInfo {
  int code = 0;  // 128 + signal if a signal ended it
  int signal = 0;
  bool oom_killed = false;
  uint64_t peak_memory_bytes = 0;  // 0: unknown
};

class Executor {
 public:
  virtual ~Executor() = default;
  /// Returns only when every process of the sandbox is gone, stopped or not; when the main process
  /// ends, what it left behind is killed within a second. A non-zero exit is a value; an Error
  /// means that the sandbox itself did not run: kNotFound (command or runtime absent: the message
  /// names which), kInvalidArgument (bad user, cwd), kFailedPrecondition (a program of another
  /// architecture without an emulator), kCancelled, kUnimplemented. /etc/resolv.conf
  /// and /etc/hosts are bind mounts of generated files; stubs made for them are removed again and
  /// the parent's mtime is restored, so nothing of them lands in a layer.
  virtual Result<ExitInfo> run(const ExecRequest& request, std::stop_token stop) = 0;
};

struct ExecutorConfig {
  std::string runtime = "crun";  // name or path
  std::string runtime_name;      // "crun", "runc", …: from the binary's --version if empty
  std::string run_directory;     // $KILN_ROOT/run: bundles, swept when opened
  std::string search_path;       // PATH for finding runtime and uplink
  std::string resolv_conf = "/etc/resolv.conf";
  size_t prepared_networks = 2;  // namespaces kept ready
};
/// Sweeps what a killed process left in run_directory (each bundle lies beside a lock).
Result<std::unique_ptr<Executor>> make_oci_executor(const ExecutorConfig& config);

}  // namespace kiln
