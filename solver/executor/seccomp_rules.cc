#include "solver/executor/seccomp_rules.h"

#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace kiln {
namespace {

using Names = std::vector<std::string_view>;

constexpr std::string_view kFiles =
    "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod "
    "fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
    "flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate "
    "ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch "
    "inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat "
    "listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat "
    "lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 "
    "pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink "
    "readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile "
    "sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statmount statx "
    "symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink "
    "unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev cachestat chroot";

constexpr std::string_view kWaitingAndTime =
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 "
    "clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 epoll_create "
    "epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old "
    "eventfd eventfd2 getitimer gettimeofday io_cancel io_destroy io_getevents io_pgetevents "
    "io_pgetevents_time64 io_setup io_submit nanosleep _newselect pause poll ppoll "
    "ppoll_time64 pselect6 pselect6_time64 select setitimer signalfd signalfd4 time "
    "timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times";

constexpr std::string_view kProcesses =
    "capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 "
    "futex_wait futex_waitv futex_wake getcpu getegid getegid32 geteuid geteuid32 getgid "
    "getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid "
    "get_thread_area gettid getuid getuid32 ioprio_get ioprio_set kill landlock_add_rule "
    "landlock_create_ruleset landlock_restrict_self membarrier pidfd_open pidfd_send_signal "
    "prctl prlimit64 process_mrelease process_vm_readv process_vm_writev ptrace "
    "restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sched_getaffinity sched_getattr sched_getparam sched_get_priority_max "
    "sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid "
    "setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid "
    "setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid "
    "set_thread_area set_tid_address setuid setuid32 sigaltstack sigprocmask sigreturn "
    "sysinfo tgkill tkill ugetrlimit uname uretprobe vfork wait4 waitid waitpid";

constexpr std::string_view kMemory =
    "brk madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall "
    "mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free "
    "pkey_mprotect remap_file_pages";

constexpr std::string_view kMessages =
    "accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr "
    "mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg semctl semget semop semtimedop semtimedop_time64 send sendmmsg "
    "sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketcall socketpair";

// Those that need a capability which Docker's default set lacks, and those that nobody gets.
constexpr std::string_view kRefused =
    "acct add_key bpf clock_settime clock_settime64 create_module delete_module fanotify_init "
    "finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module "
    "io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load "
    "kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount "
    "move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root "
    "process_madvise query_module quotactl quotactl_fd reboot request_key set_mempolicy "
    "setdomainname sethostname setns settimeofday stime swapoff swapon _sysctl sysfs syslog "
    "umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old";

// Views into a constant's text.
Names split_names(std::string_view text) {
  Names out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Names for_architecture(std::string_view architecture) {
  if (architecture == "amd64" || architecture == "386") return {"arch_prctl", "modify_ldt"};
  if (architecture == "arm64" || architecture == "arm")
    return {"arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush",
            "set_tls",          "sync_file_range2"};
  if (architecture == "ppc64le") return {"swapcontext", "sync_file_range2"};
  if (architecture == "s390x")
    return {"s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"};
  if (architecture == "riscv64") return {"riscv_flush_icache", "riscv_hwprobe"};
  return {};
}

// clone(2) without any new namespace. clone3 hides its flags behind a pointer: ENOSYS makes libc
// fall back to clone.
void add_clone(std::vector<SeccompRule>& rules, unsigned flags_index) {
  constexpr std::array<uint64_t, 7> kNamespaces = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                                   CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                                   CLONE_NEWNET};
  uint64_t all = 0;
  for (const uint64_t flag : kNamespaces) {
    all |= flag;
    rules.push_back(
        {{"clone"}, SeccompVerdict::kRefuse, {{flags_index, SeccompOp::kMaskedEqual, flag, flag}}});
  }
  rules.push_back(
      {{"clone"}, SeccompVerdict::kAllow, {{flags_index, SeccompOp::kMaskedEqual, all, 0}}});
}

// Every address family but the kernel's crypto interface and the host's side of a virtual machine.
void add_socket(std::vector<SeccompRule>& rules) {
  static_assert(AF_VSOCK == AF_ALG + 2);
  rules.push_back({{"socket"}, SeccompVerdict::kAllow, {{0, SeccompOp::kLess, AF_ALG, 0}}});
  rules.push_back({{"socket"}, SeccompVerdict::kAllow, {{0, SeccompOp::kEqual, AF_ALG + 1, 0}}});
  rules.push_back({{"socket"}, SeccompVerdict::kAllow, {{0, SeccompOp::kGreater, AF_VSOCK, 0}}});
  for (const uint64_t family : {AF_ALG, AF_VSOCK})
    rules.push_back({{"socket"}, SeccompVerdict::kRefuse, {{0, SeccompOp::kEqual, family, 0}}});
}

// PER_LINUX, PER_LINUX32, each also with UNAME26, and the question what is set.
void add_personality(std::vector<SeccompRule>& rules) {
  for (const uint64_t persona : {0x0ULL, 0x8ULL, 0x20000ULL, 0x20008ULL, 0xffffffffULL})
    rules.push_back(
        {{"personality"}, SeccompVerdict::kAllow, {{0, SeccompOp::kEqual, persona, 0}}});
}

}  // namespace

std::vector<SeccompRule> default_seccomp_rules(std::string_view architecture) {
  std::vector<SeccompRule> rules;
  for (Names names : {split_names(kFiles), split_names(kWaitingAndTime), split_names(kProcesses),
                      split_names(kMemory), split_names(kMessages), for_architecture(architecture)})
    if (!names.empty()) rules.push_back({std::move(names), SeccompVerdict::kAllow, {}});
  rules.push_back({split_names(kRefused), SeccompVerdict::kRefuse, {}});
  add_clone(rules, architecture == "s390x" ? 1 : 0);
  add_socket(rules);
  add_personality(rules);
  return rules;
}

}  // namespace kiln
