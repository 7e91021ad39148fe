#include "base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

#ifdef __SANITIZE_THREAD__
extern "C" {
int __clone(int (*child)(void*), void* stack, int flags, void* argument, ...) noexcept;
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace kiln::internal {
namespace {

constexpr size_t kStackBytes = 64U << 10U;
constexpr int kFirstOwnFd = 3;

enum class Step : uint8_t {
  kNone,
  kParentDied,
  kSession,
  kDescriptors,
  kCgroup,
  kMounts,
  kDirectory,
  kExec
};

// All that the child reads and writes. It shares our memory (CLONE_VM) while this thread sleeps
// (CLONE_VFORK): no page tables are copied, which makes a start independent of how much memory kiln
// holds, and errors need no pipe.
struct Plan {
  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* env = nullptr;
  const char* cwd = nullptr;  // null: stay
  std::array<int, 3> stdio{};
  const int* keep_fds = nullptr;
  size_t keep_count = 0;
  const char* const* cgroup_files = nullptr;
  size_t cgroup_count = 0;
  bool new_session = false;
  bool die_with_parent = false;
  pid_t parent = 0;
  int parent_pidfd = -1;
  bool isolated = false;
  const char* const* unmounts = nullptr;
  size_t unmount_count = 0;
  const char* const* mount_sources = nullptr;  // "/proc/self/fd/<n>"
  const char* const* mount_targets = nullptr;
  size_t mount_count = 0;

  Step failed_step = Step::kNone;
  int failed_errno = 0;
  size_t failed_index = 0;  // into cgroup_files or mount_targets
};

// ---- In the child: async-signal-safe calls only, no allocation, no unwinding. Not instrumented,
// because it runs on a foreign stack and never returns.
#define KILN_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

KILN_IN_CHILD bool set_up_stdio(const Plan& plan) {
  for (int target = 0; target < kFirstOwnFd; ++target)
    if (::dup2(plan.stdio[static_cast<size_t>(target)], target) < 0) return false;
  if (::close_range(kFirstOwnFd, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) return false;
  for (size_t i = 0; i < plan.keep_count; ++i)
    if (::fcntl(plan.keep_fds[i], F_SETFD, 0) != 0) return false;
  return true;
}

KILN_IN_CHILD void reset_signals() {
  // The kernel's `struct sigaction`, whatever the machine: all zero is SIG_DFL. libc's function
  // would skip the two signals it uses itself, which may be inherited as ignored like any other.
  const std::array<unsigned long, 8> defaults{};
  constexpr size_t kMaskBytes = _NSIG / 8;
  // SIGKILL and SIGSTOP refuse; that is as it should be.
  for (int signal = 1; signal < NSIG; ++signal)
    (void)::syscall(SYS_rt_sigaction, signal, &defaults, nullptr, kMaskBytes);
  sigset_t none;
  ::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);  // cannot fail with these arguments
}

KILN_IN_CHILD bool join_cgroup(const char* procs_file) {
  const int fd = ::open(procs_file, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool joined = ::write(fd, "0", 1) == 1;
  const int error = errno;
  (void)::close(fd);  // the write is what counts, and its errno
  errno = error;
  return joined;
}

KILN_IN_CHILD bool join_cgroups(Plan& plan) {
  for (size_t i = 0; i < plan.cgroup_count; ++i) {
    plan.failed_index = i;
    if (!join_cgroup(plan.cgroup_files[i])) return false;
  }
  return true;
}

// Inside a pid namespace getppid() is 0 whether the parent lives or not; its pidfd tells.
KILN_IN_CHILD bool parent_lives(const Plan& plan) {
  if (!plan.isolated) return ::getppid() == plan.parent;
  pollfd parent{plan.parent_pidfd, POLLIN, 0};
  return ::poll(&parent, 1, 0) == 0;
}

// Slave, not private: a mount of another step that the parent unmounts must not live on in this
// copy, or its file system would stay busy until the program ends.
KILN_IN_CHILD bool set_up_mounts(Plan& plan) {
  plan.failed_index = plan.mount_count;
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return false;
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return false;
  for (size_t i = 0; i < plan.unmount_count; ++i)
    if (::umount2(plan.unmounts[i], MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
        errno != ENOENT)
      return false;
  for (size_t i = 0; i < plan.mount_count; ++i) {
    plan.failed_index = i;
    if (::mount(plan.mount_sources[i], plan.mount_targets[i], nullptr, MS_BIND, nullptr) != 0)
      return false;
  }
  return true;
}

KILN_IN_CHILD Step prepare_and_exec(Plan& plan) {
  reset_signals();
  if (plan.die_with_parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return Step::kSession;
    // A parent that died before the prctl sends no signal any more.
    if (!parent_lives(plan)) return Step::kParentDied;
  }
  if (plan.new_session && ::setsid() < 0) return Step::kSession;
  if (!join_cgroups(plan)) return Step::kCgroup;
  if (plan.isolated && !set_up_mounts(plan)) return Step::kMounts;
  if (!set_up_stdio(plan)) return Step::kDescriptors;
  if (plan.cwd != nullptr && ::chdir(plan.cwd) != 0) return Step::kDirectory;
  ::execve(plan.program, plan.argv, plan.env);
  return Step::kExec;
}

KILN_IN_CHILD int child_main(void* argument) {
  auto* plan = static_cast<Plan*>(argument);
  plan->failed_step = prepare_and_exec(*plan);
  plan->failed_errno = errno;
  ::_exit(127);
}

// ---- In the parent.

class ChildStack {
 public:
  ChildStack()
      : memory_(::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {}
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  ~ChildStack() {
    if (valid()) (void)::munmap(memory_, kStackBytes);  // cannot fail on what mmap gave
  }
  bool valid() const { return memory_ != MAP_FAILED; }
  void* top() const { return static_cast<char*>(memory_) + kStackBytes; }  // stacks grow down

 private:
  void* memory_;
};

// No handler of ours may run in the child, where it would act on our memory.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    ::sigfillset(&all);
    (void)::pthread_sigmask(SIG_SETMASK, &all, &old_);  // cannot fail with these arguments
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { (void)::pthread_sigmask(SIG_SETMASK, &old_, nullptr); }

 private:
  sigset_t old_{};
};

// What the child gets as 0, 1 and 2: copies above 2, so that one dup2 does not overwrite the source
// of the next.
class Stdio {
 public:
  Status prepare(const ProcessSpec& spec) {
    const std::array<int, 3> wanted = {spec.in, spec.out, spec.err};
    for (size_t i = 0; i < wanted.size(); ++i) {
      KILN_TRY_ASSIGN(numbers_[i], source_for(wanted[i], owned_[i]));
    }
    return {};
  }
  const std::array<int, 3>& numbers() const { return numbers_; }

 private:
  static Result<int> source_for(int wanted, Fd& owned) {
    if (wanted >= kFirstOwnFd) return wanted;
    owned = wanted < 0 ? Fd(::open("/dev/null", O_RDWR | O_CLOEXEC))
                       : Fd(::fcntl(wanted, F_DUPFD_CLOEXEC, kFirstOwnFd));
    if (!owned.valid()) return fail_errno("prepare standard streams", "");
    return owned.get();
  }
  std::array<Fd, 3> owned_;
  std::array<int, 3> numbers_{};
};

std::vector<char*> to_pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  // execve takes char* const[] for historical reasons and writes to none of it.
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<const char*> to_c_strings(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  pointers.reserve(strings.size());
  for (const std::string& text : strings) pointers.push_back(text.c_str());
  return pointers;
}

Error spawn_error(const Plan& plan, const ProcessSpec& spec, const std::string& program) {
  switch (plan.failed_step) {
    case Step::kParentDied:
      return Error(Code::kCancelled, "start \"" + program + "\": kiln is ending");
    case Step::kSession:
      return Error::from_errno(plan.failed_errno, "start session of", program);
    case Step::kDescriptors:
      return Error::from_errno(plan.failed_errno, "pass file descriptors to", program);
    case Step::kCgroup:
      return Error::from_errno(plan.failed_errno, "join cgroup",
                               spec.cgroup_procs.at(plan.failed_index));
    case Step::kMounts:
      return Error::from_errno(
          plan.failed_errno, "mount",
          plan.failed_index < plan.mount_count ? plan.mount_targets[plan.failed_index] : "/proc");
    case Step::kDirectory:
      return Error::from_errno(plan.failed_errno, "change directory to", spec.cwd);
    default:
      return Error::from_errno(plan.failed_errno, "run", program);
  }
}

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// What set_up_mounts() reads, kept alive beside the plan.
class MountPlan {
 public:
  Status prepare(const std::optional<ProcessIsolation>& isolation, Plan& plan) {
    if (!isolation) return {};
    // No glibc wrapper in Debian 12.
    self_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!self_.valid()) return fail_errno("open a pidfd of", "kiln");
    for (const ProcessIsolation::NamespaceMount& mount : isolation->mounts) {
      sources_.push_back("/proc/self/fd/" + std::to_string(mount.fd));
      targets_.push_back(mount.target.c_str());
    }
    source_texts_ = to_c_strings(sources_);
    unmounts_ = to_c_strings(isolation->unmounts);
    plan.isolated = true;
    plan.parent_pidfd = self_.get();
    plan.unmounts = unmounts_.data();
    plan.unmount_count = unmounts_.size();
    plan.mount_sources = source_texts_.data();
    plan.mount_targets = targets_.data();
    plan.mount_count = targets_.size();
    return {};
  }

 private:
  Fd self_;
  std::vector<std::string> sources_;
  std::vector<const char*> source_texts_, targets_, unmounts_;
};

#ifdef __SANITIZE_THREAD__
// ThreadSanitizer takes each clone() for a fork and makes its state the child's, and with CLONE_VM
// that state is ours: glibc's other name for it is not intercepted. The child's descriptors are not
// ours though their numbers are, so what it does with them is not looked at; it counts as this
// thread, which sleeps meanwhile.
template <class... More>
int clone(int (*child)(void*), void* stack, int flags, void* argument, More... more) {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  const int pid = __clone(child, stack, flags, argument, more...);
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return pid;
}
#else
using ::clone;
#endif

Result<Spawned> clone_child(Plan& plan) {
  const ChildStack stack;
  if (!stack.valid()) return fail_errno("allocate stack", "");
  int pidfd = -1;
  const BlockedSignals blocked;
  const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD |
                    (plan.isolated ? CLONE_NEWPID | CLONE_NEWNS : 0);
  const pid_t pid = clone(child_main, stack.top(), flags, &plan, &pidfd);
  if (pid < 0) return fail_errno("start process", plan.program);
  return Spawned{pid, Fd(pidfd)};
}

}  // namespace

Result<Spawned> spawn_process(const ProcessSpec& spec, const std::string& program) {
  const std::vector<char*> argv = to_pointers(spec.argv);
  const std::vector<char*> env = to_pointers(spec.env);
  const std::vector<const char*> cgroups = to_c_strings(spec.cgroup_procs);
  Stdio stdio;
  KILN_TRY(stdio.prepare(spec));
  Plan plan;
  plan.program = program.c_str();
  plan.argv = argv.data();
  plan.env = env.data();
  plan.cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str();
  plan.stdio = stdio.numbers();
  plan.keep_fds = spec.keep_fds.data();
  plan.keep_count = spec.keep_fds.size();
  plan.cgroup_files = cgroups.data();
  plan.cgroup_count = cgroups.size();
  plan.new_session = spec.new_session;
  plan.die_with_parent = spec.die_with_parent;
  plan.parent = ::getpid();
  MountPlan mounts;
  KILN_TRY(mounts.prepare(spec.isolation, plan));
  KILN_TRY_ASSIGN(Spawned spawned, clone_child(plan));
  if (plan.failed_step == Step::kNone) return spawned;
  reap(spawned.pid);
  return tl::unexpected(spawn_error(plan, spec, program));
}

}  // namespace kiln::internal
