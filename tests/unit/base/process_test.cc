#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>

#include "base/fs.h"
#include "base/io.h"
#include "base/strings.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::message_of;
using fake::must;
using namespace std::chrono_literals;

constexpr uint64_t kLimit = 4U << 20U;

ProcessSpec shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", script};
  spec.env = {"PATH=/usr/bin:/bin"};
  return spec;
}

CapturedRun run(const std::string& script, std::string_view input = "") {
  return must(run_captured(shell(script), input, kLimit, {}));
}

TEST(ProcessTest, CapturesBothStreamsAndTheExitCode) {
  const CapturedRun result = run("cat; echo oops >&2; exit 3", "fed");
  EXPECT_EQ(result.out, "fed");
  EXPECT_EQ(result.err, "oops\n");
  EXPECT_EQ(result.exit.code, 3);
  EXPECT_FALSE(result.exit.ok());
}

TEST(ProcessTest, SignalsAreTold) {
  const CapturedRun result = run("kill -KILL $$");
  EXPECT_EQ(result.exit.signal, SIGKILL);
  EXPECT_EQ(result.exit.code, 0);
}

TEST(ProcessTest, MuchInputAndOutputAtOnceDoesNotDeadlock) {
  const std::string input(2U << 20U, 'x');
  const CapturedRun result = run("tee /dev/stderr", input);
  EXPECT_EQ(result.out.size(), input.size());
  EXPECT_EQ(result.err.size(), input.size());
}

TEST(ProcessTest, OutputIsCutAtTheLimit) {
  const CapturedRun result = must(run_captured(shell("yes | head -c 100000"), "", 10, {}));
  EXPECT_EQ(result.out.size(), 10U);
  EXPECT_TRUE(result.exit.ok());
}

TEST(ProcessTest, AChildThatIgnoresItsInputIsNoError) {
  const CapturedRun result = run("exec 0<&-; echo done", std::string(1U << 20U, 'x'));
  EXPECT_EQ(result.out, "done\n");
}

TEST(ProcessTest, ADaemonThatHoldsThePipesDoesNotHoldUs) {
  const auto start = std::chrono::steady_clock::now();
  const CapturedRun result = run("sleep 30 & echo $!");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  (void)::kill(static_cast<pid_t>(must(parse_int(trim(result.out)))), SIGKILL);
}

TEST(ProcessTest, ExecErrorsAreErrorsAndNotExitCodes) {
  ProcessSpec spec;
  spec.argv = {"no-such-program"};
  spec.env = {"PATH=/usr/bin"};
  EXPECT_EQ(code_of(Child::spawn(spec)), "not_found");
  spec.argv = {"/no/such/program"};
  EXPECT_EQ(code_of(Child::spawn(spec)), "not_found");
  spec.argv = {"/etc/passwd"};
  EXPECT_EQ(code_of(Child::spawn(spec)), "permission_denied");
  spec.argv = {};
  EXPECT_EQ(code_of(Child::spawn(spec)), "invalid_argument");
  spec = shell("true");
  spec.cwd = "/no/such/dir";
  EXPECT_NE(message_of(Child::spawn(spec)).find("change directory to \"/no/such/dir\""),
            std::string::npos);
}

TEST(ProcessTest, TheEnvironmentIsExactlyTheGivenOne) {
  ProcessSpec spec;
  spec.argv = {"/usr/bin/env"};
  spec.env = {"A=1", "B=two words"};
  EXPECT_EQ(must(run_captured(spec, "", kLimit, {})).out, "A=1\nB=two words\n");
}

TEST(ProcessTest, NoDescriptorLeaksButTheKeptOnes) {
  const Fd leak(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC
  const Fd kept(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ProcessSpec spec = shell("cd /proc/self/fd; for f in *; do [ -e $f ] && echo $f; done");
  spec.keep_fds = {kept.get()};
  const auto fds = split(must(run_captured(spec, "", kLimit, {})).out, '\n');
  std::vector<std::string> above;
  for (const std::string& fd : fds)
    if (!fd.empty() && must(parse_int(fd)) > 2) above.push_back(fd);
  // The shell itself may hold one more while it expands "*"; ours must be there, the leak must not.
  EXPECT_NE(std::find(above.begin(), above.end(), std::to_string(kept.get())), above.end());
  EXPECT_EQ(std::find(above.begin(), above.end(), std::to_string(leak.get())), above.end());
}

TEST(ProcessTest, StandardStreamsMayBeSwapped) {
  Pipe pipe = must(Pipe::create());
  ProcessSpec spec = shell("echo to-err >&2; echo to-out");
  spec.out = spec.err = pipe.write_end.get();
  Child child = must(Child::spawn(spec));
  pipe.write_end.reset();
  FdSource source(std::move(pipe.read_end));
  EXPECT_EQ(must(read_all(source, kLimit, "output")), "to-err\nto-out\n");
  EXPECT_TRUE(must(child.wait()).ok());
}

TEST(ProcessTest, SignalsAndSessionAreReset) {
  // A blocked SIGTERM and an ignored SIGPIPE of ours must not reach the child.
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGTERM);
  sigset_t old;
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &mask, &old), 0);
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(::sigaction(SIGPIPE, &ignore, &before), 0);
  // libc's own signals too: a parent that ignored them (a Go program's, a harness's) hands that on.
  // Only the kernel's call takes them. Its struct: handler, flags, restorer, mask.
  constexpr int kCancelSignal = 32;
  const std::array<unsigned long, 8> ignored = {1};
  std::array<unsigned long, 8> own{};
  ASSERT_EQ(::syscall(SYS_rt_sigaction, kCancelSignal, ignored.data(), own.data(), 8UL), 0);
  const CapturedRun result =
      run("grep -E '^Sig(Blk|Ign)' /proc/self/status; ps -o sid= -p $$; echo $$");
  ASSERT_EQ(::syscall(SYS_rt_sigaction, kCancelSignal, own.data(), nullptr, 8UL), 0);
  ASSERT_EQ(::sigaction(SIGPIPE, &before, nullptr), 0);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &old, nullptr), 0);
  EXPECT_TRUE(result.out.starts_with("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"))
      << result.out;
}

TEST(ProcessTest, StopTerminatesAndReaps) {
  std::stop_source stop;
  Child child = must(Child::spawn(shell("exec sleep 60")));
  const pid_t pid = child.pid();
  stop.request_stop();
  EXPECT_EQ(code_of(child.wait(stop.get_token())), "cancelled");
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ProcessTest, StopKillsWhoIgnoresSigterm) {
  Pipe ready = must(Pipe::create());
  ProcessSpec spec = shell("trap '' TERM; echo ready; exec sleep 60");
  spec.out = ready.write_end.get();
  Child child = must(Child::spawn(spec));
  char byte = 0;
  ASSERT_EQ(::read(ready.read_end.get(), &byte, 1), 1);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of(child.wait(stop.get_token(), 50ms)), "cancelled");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST(ProcessTest, ACapturedRunCanBeStopped) {
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(code_of(run_captured(shell("exec sleep 60"), "", kLimit, stop.get_token())),
            "cancelled");
}

TEST(ProcessTest, TheDestructorKillsAndReaps) {
  pid_t pid = 0;
  {
    const Child child = must(Child::spawn(shell("exec sleep 60")));
    pid = child.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(ProcessTest, TryWaitDoesNotBlockAndWaitingTwiceIsRefused) {
  Child child = must(Child::spawn(shell("exec sleep 60")));
  EXPECT_FALSE(must(child.try_wait()).has_value());
  must(child.kill(SIGINT));
  EXPECT_EQ(must(child.wait()).signal, SIGINT);
  EXPECT_EQ(code_of(child.wait()), "failed_precondition");
  EXPECT_EQ(code_of(child.try_wait()), "failed_precondition");
  EXPECT_EQ(code_of(child.kill(SIGKILL)), "ok");
}

TEST(ProcessTest, TheChildDiesWithTheThreadThatSpawnedIt) {
  std::optional<Child> child;
  std::thread spawner([&] { child = must(Child::spawn(shell("exec sleep 60"))); });
  spawner.join();
  EXPECT_EQ(must(child->wait()).signal, SIGKILL);
}

TEST(ProcessTest, CgroupFilesAreWrittenByTheChild) {
  const TempDir temp = must(TempDir::create(testing::TempDir(), "kiln-process-"));
  must(write_file(temp.path() + "/cgroup.procs", ""));
  ProcessSpec spec = shell("true");
  spec.cgroup_procs = {temp.path() + "/cgroup.procs"};
  EXPECT_TRUE(must(must(Child::spawn(spec)).wait()).ok());
  EXPECT_EQ(must(read_file(temp.path() + "/cgroup.procs", 10)), "0");
  spec.cgroup_procs = {temp.path() + "/none/cgroup.procs"};
  EXPECT_NE(message_of(Child::spawn(spec)).find("join cgroup"), std::string::npos);
}

TEST(ProcessTest, ManyThreadsSpawnAtOnce) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 10; ++i) EXPECT_EQ(run("cat", "x").out, "x");
    });
}

TEST(ProcessTest, FindProgramSkipsWhatIsNotExecutable) {
  const TempDir temp = must(TempDir::create(testing::TempDir(), "kiln-process-"));
  must(make_dirs(temp.path() + "/a/tool"));
  must(make_dirs(temp.path() + "/b"));
  must(make_dirs(temp.path() + "/c"));
  must(write_file(temp.path() + "/b/tool", ""));
  must(write_file(temp.path() + "/c/tool", ""));
  ASSERT_EQ(::chmod((temp.path() + "/c/tool").c_str(), 0755), 0);
  const std::string list = temp.path() + "/a:" + temp.path() + "/b::" + temp.path() + "/c";
  EXPECT_EQ(must(find_program("tool", list)), temp.path() + "/c/tool");
  EXPECT_EQ(code_of(find_program("tool", temp.path() + "/a")), "not_found");
}

}  // namespace
}  // namespace kiln
