#include "tests/e2e/fault_tools.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"

namespace kiln::e2e {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{60};
constexpr uint64_t kProcLimit = 1U << 20U;

struct Process {
  pid_t pid = 0;
  std::string name;
};

// Living children of this process; the dead are reaped on the way.
std::vector<Process> children() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  std::vector<Process> found;
  const auto proc = Root::open("/proc");
  const auto entries = proc ? list_dir(proc->fd())
                            : Result<std::vector<DirEntry>>(fail(Code::kNotFound, "no /proc"));
  if (!entries) return found;
  for (const DirEntry& entry : *entries) {
    if (!parse_int(entry.name)) continue;
    const std::string base = "/proc/" + entry.name;
    const std::string stat = read_file(base + "/stat", kProcLimit).value_or("");
    const size_t paren = stat.rfind(')');
    if (paren == std::string::npos) continue;
    const std::vector<std::string> fields = split(stat.substr(paren + 2), ' ');
    if (fields.size() < 2 || fields[0] == "Z" || fields[1] != std::to_string(::getpid())) continue;
    std::string line = read_file(base + "/cmdline", kProcLimit).value_or("");
    for (char& c : line)
      if (c == '\0') c = ' ';
    found.push_back({static_cast<pid_t>(*parse_int(entry.name)), entry.name + " " + line});
  }
  return found;
}

Fd pidfd_of(pid_t pid) {
  return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

std::string run(const std::vector<std::string>& argv) {
  ProcessSpec spec;
  spec.argv = argv;
  spec.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  const auto done = run_captured(spec, "", kProcLimit, {});
  if (!done) return done.error().to_string();
  return done->exit.ok() ? "" : argv[0] + ": " + done->err;
}

}  // namespace

Descendants::Descendants() {
  EXPECT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
}

Descendants::~Descendants() {
  for (std::vector<Process> alive = children(); !alive.empty(); alive = children())
    for (const Process& process : alive) {
      (void)::kill(process.pid, SIGKILL);
      (void)::waitpid(process.pid, nullptr, 0);
    }
}

std::vector<std::string> Descendants::left() const {
  const auto deadline = Clock::now() + kPatience;
  std::vector<Process> alive = children();
  while (!alive.empty() && Clock::now() < deadline) {
    const Fd first = pidfd_of(alive.front().pid);
    struct pollfd waiting {
      first.get(), POLLIN, 0
    };
    (void)::poll(&waiting, 1, 1000);
    alive = children();
  }
  std::vector<std::string> names;
  for (Process& process : alive) names.push_back(std::move(process.name));
  return names;
}

std::vector<std::string> mounts_below(const std::string& directory) {
  std::vector<std::string> found;
  for (const std::string& line :
       split(read_file("/proc/self/mountinfo", kProcLimit).value_or(""), '\n')) {
    const std::vector<std::string> fields = split(line, ' ');
    if (fields.size() > 4 && fields[4].starts_with(directory)) found.push_back(fields[4]);
  }
  return found;
}

std::optional<SmallDisk> SmallDisk::mount(Kind kind, const std::string& directory, uint64_t bytes,
                                          std::string& why) {
  EXPECT_TRUE(make_dirs(directory));
  const std::string size = std::to_string(bytes);
  if (kind == Kind::kTmpfs) {
    why = run({"mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", directory});
  } else {
    const std::string image = directory + ".img";
    why = run({"truncate", "-s", size, image});
    if (why.empty()) why = run({"mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image});
    if (why.empty()) why = run({"mount", "-o", "loop", image, directory});
  }
  if (!why.empty()) return std::nullopt;
  return SmallDisk(directory);
}

SmallDisk::~SmallDisk() {
  if (directory_.empty()) return;
  EXPECT_EQ(::umount2(directory_.c_str(), MNT_DETACH), 0) << directory_;
}

void SmallDisk::fill(const std::string& name, uint64_t left) const {
  struct statvfs st {};
  ASSERT_EQ(::statvfs(directory_.c_str(), &st), 0);
  const uint64_t free = st.f_bavail * st.f_frsize;
  ASSERT_GT(free, left);
  const Fd file(::open((directory_ + "/" + name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  // What the file system needs for the file itself is not there for its bytes.
  off_t size = 0;
  for (uint64_t chunk = free - left; chunk >= 4096;) {
    if (::posix_fallocate(file.get(), size, static_cast<off_t>(chunk)) == 0)
      size += static_cast<off_t>(chunk);
    else
      chunk /= 2;
    chunk = std::min<uint64_t>(chunk, free - left - static_cast<uint64_t>(size));
  }
}

std::optional<RunningProcess> RunningProcess::start(const std::vector<std::string>& argv,
                                                    const std::vector<std::string>& environment) {
  auto pipe = Pipe::create();
  EXPECT_TRUE(pipe);
  if (!pipe) return std::nullopt;
  constexpr int kPipeBytes = 1 << 20;
  EXPECT_GE(::fcntl(pipe->write_end.get(), F_SETPIPE_SZ, kPipeBytes), kPipeBytes);
  ProcessSpec spec;
  spec.argv = argv;
  spec.env = environment;
  spec.out = spec.err = pipe->write_end.get();
  auto child = Child::spawn(spec);
  EXPECT_TRUE(child) << child.error().to_string();
  if (!child) return std::nullopt;
  return RunningProcess(*std::move(child), std::move(pipe->read_end));
}

bool RunningProcess::read_more() {
  struct pollfd waiting {
    output_.get(), POLLIN, 0
  };
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
  if (::poll(&waiting, 1, static_cast<int>(patience)) != 1) return false;
  std::array<char, 4096> buffer{};
  const ssize_t size = ::read(output_.get(), buffer.data(), buffer.size());
  if (size <= 0) return false;
  text_.append(buffer.data(), static_cast<size_t>(size));
  return true;
}

bool RunningProcess::saw(const std::string& text) {
  while (text_.find(text) == std::string::npos)
    if (!read_more()) return false;
  return true;
}

void RunningProcess::signal(int number) {
  EXPECT_TRUE(child_.kill(number));
}

bool RunningProcess::is_running() {
  if (ended_) return false;
  const auto status = child_.try_wait();
  EXPECT_TRUE(status) << status.error().to_string();
  if (status && *status) ended_ = **status;
  return status && !ended_;
}

Output RunningProcess::wait() {
  while (read_more()) {
  }
  if (!ended_) {
    const auto status = child_.wait();
    if (!status) return {-1, "", text_ + status.error().to_string()};
    ended_ = *status;
  }
  return {ended_->signal != 0 ? 128 + ended_->signal : ended_->code, "", text_};
}

}  // namespace kiln::e2e
