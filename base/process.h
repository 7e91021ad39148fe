// Child processes. `Child` owns one: its destructor kills and reaps it. argv only, never a shell.
// Between clone and exec only async-signal-safe calls happen; every fd above 2 but the ones listed
// in `keep_fds` is closed; signals are reset.
//
// `die_with_parent` watches the *thread* that spawned: the kernel sends the signal when that thread
// ends, though the process lives on. Spawn from the main thread or from a WorkerPool's, which live
// until their pool is destroyed. exec of a set-user-ID program clears it.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// What a program that is init of a pid namespace of its own finds there.
struct ProcessIsolation {
  struct NamespaceMount {
    int fd = -1;         // borrowed; a namespace: other fds belong to mounts that are not there
    std::string target;  // an existing file, over which the namespace is bind-mounted
  };
  std::vector<std::string> unmounts;  // lazily unmounted if they are mount points
  std::vector<NamespaceMount> mounts;
};

struct ProcessSpec {
  std::string program;              // the file to run; empty: found by argv[0]
  std::vector<std::string> argv;    // argv[0]: a path, or a name looked up in PATH of `env`
  std::vector<std::string> env;     // "K=V"; nothing is inherited
  std::string cwd;                  // empty: the caller's
  int in = -1, out = -1, err = -1;  // borrowed; -1: /dev/null
  std::vector<int> keep_fds;        // stay open in the child under the same number
  std::vector<std::string>
      cgroup_procs;             // files to which the child writes its pid before it execs ("0")
  bool new_session = true;      // setsid: a terminal's Ctrl-C reaches kiln alone
  bool die_with_parent = true;  // PR_SET_PDEATHSIG SIGKILL
  /// The program becomes init of a pid namespace of its own, in a copy of the mounts that follows
  /// unmounts here (MS_SLAVE) and has that namespace's /proc. When it ends, the kernel ends all it
  /// started before wait() returns, and what was mounted there vanishes. Needs CAP_SYS_ADMIN.
  std::optional<ProcessIsolation> isolation;
};

struct ExitStatus {
  int code = 0;  // valid if signal == 0
  int signal = 0;
  bool ok() const { return code == 0 && signal == 0; }
};

class Child {
 public:
  /// kNotFound if argv[0] cannot be found; exec errors are reported here, not through an exit code.
  static Result<Child> spawn(const ProcessSpec& spec);
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();  // SIGKILL and reap

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  Status kill(int signal);
  /// Blocks until exit. On `stop`: SIGTERM to the child, SIGKILL after `grace`, then kCancelled
  /// once it is reaped.
  Result<ExitStatus> wait(std::stop_token stop = {},
                          std::chrono::milliseconds grace = std::chrono::milliseconds(500));
  Result<std::optional<ExitStatus>> try_wait();

 private:
  Child(pid_t pid, Fd pidfd);
  pid_t pid_ = -1;
  Fd pidfd_;
};

struct CapturedRun {
  ExitStatus exit;
  std::string out, err;  // each cut at `limit_bytes`
};
/// Runs to the end with stdout and stderr captured and `input` on stdin. Blocks.
Result<CapturedRun> run_captured(ProcessSpec spec, std::string_view input, uint64_t limit_bytes,
                                 std::stop_token stop);

/// The absolute path of `name` in `path_list` ("a:b:c"); kNotFound.
Result<std::string> find_program(const std::string& name, std::string_view path_list);

}  // namespace kiln
