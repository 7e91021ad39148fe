#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/spawn.h"
#include "base/strings.h"
#include "base/wake.h"

namespace kiln {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string_view path_list_of(const std::vector<std::string>& env) {
  for (const std::string& entry : env)
    if (entry.starts_with("PATH=")) return std::string_view(entry).substr(5);
  return kDefaultPath;
}

bool is_program(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

ExitStatus to_exit_status(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {info.si_status, 0};
  return {0, info.si_status};
}

// Milliseconds for poll(2), at least 0; -1: no deadline.
int poll_timeout(const std::optional<std::chrono::steady_clock::time_point>& deadline) {
  if (!deadline) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
  return left.count() < 0 ? 0 : static_cast<int>(left.count());
}

enum class Woken : uint8_t { kExited, kStop, kDeadline };

// Waits for the child's exit, a stop request or the deadline. An exit wins over a stop.
Result<Woken> wait_for(int pidfd, int wake_fd,
                       std::optional<std::chrono::steady_clock::time_point> deadline) {
  std::array<pollfd, 2> fds = {pollfd{pidfd, POLLIN, 0}, pollfd{wake_fd, POLLIN, 0}};
  for (;;) {
    const int ready = ::poll(fds.data(), fds.size(), poll_timeout(deadline));
    if (ready < 0 && errno != EINTR) return fail_errno("wait for process", "");
    if (ready < 0) continue;
    if (fds[0].revents != 0) return Woken::kExited;
    if (ready == 0) return Woken::kDeadline;
    return Woken::kStop;
  }
}

}  // namespace

Result<std::string> find_program(const std::string& name, std::string_view path_list) {
  for (const std::string& directory : split(path_list, ':')) {
    if (directory.empty()) continue;  // POSIX reads it as the current directory: never wanted here
    std::string path = std::string(directory).append("/").append(name);
    if (is_program(path)) return path;
  }
  return fail(Code::kNotFound, "program \"" + name + "\" is not in PATH");
}

Child::Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    const Child old(std::move(*this));
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Child::~Child() {
  if (!pidfd_.valid()) return;
  (void)kill(SIGKILL);  // fails only if the child is gone already
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 &&
         errno == EINTR) {
  }
}

Result<Child> Child::spawn(const ProcessSpec& spec) {
  if (spec.argv.empty()) return fail(Code::kInvalidArgument, "cannot run a program without a name");
  std::string program = spec.program.empty() ? spec.argv[0] : spec.program;
  if (program.find('/') == std::string::npos) {
    KILN_TRY_ASSIGN(program, find_program(program, path_list_of(spec.env)));
  }
  KILN_TRY_ASSIGN(internal::Spawned spawned, internal::spawn_process(spec, program));
  return Child(spawned.pid, std::move(spawned.pidfd));
}

Status Child::kill(int signal) {
  if (!pidfd_.valid()) return {};
  const long done = ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
  if (done != 0 && errno != ESRCH) return fail_errno("signal process", std::to_string(pid_));
  return {};
}

Result<std::optional<ExitStatus>> Child::try_wait() {
  if (!pidfd_.valid()) return fail(Code::kFailedPrecondition, "the process was waited for before");
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0)
    return fail_errno("wait for process", std::to_string(pid_));
  if (info.si_pid == 0) return std::nullopt;
  pidfd_.reset();
  return to_exit_status(info);
}

Result<ExitStatus> Child::wait(std::stop_token stop, std::chrono::milliseconds grace) {
  if (!pidfd_.valid()) return fail(Code::kFailedPrecondition, "the process was waited for before");
  KILN_TRY_ASSIGN(internal::StopWaker waker, internal::StopWaker::create(stop));
  KILN_TRY_ASSIGN(Woken woken, wait_for(pidfd_.get(), waker.fd(), std::nullopt));
  const bool stopped = woken == Woken::kStop;
  if (stopped) {
    KILN_TRY(kill(SIGTERM));
    KILN_TRY_ASSIGN(woken, wait_for(pidfd_.get(), -1, std::chrono::steady_clock::now() + grace));
    if (woken == Woken::kDeadline) {
      KILN_TRY(kill(SIGKILL));
      KILN_TRY_ASSIGN(woken, wait_for(pidfd_.get(), -1, std::nullopt));
    }
  }
  KILN_TRY_ASSIGN(const auto status, try_wait());
  KILN_CHECK(status.has_value());
  if (stopped) return fail(Code::kCancelled, "cancelled");
  return *status;
}

}  // namespace kiln
