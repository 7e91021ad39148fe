// How a step ends (SAFETY.md 2): nothing it started outlives it, whether it ends by itself, is
// cancelled, or kiln is killed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/strings.h"
#include "solver/executor/step_cgroup.h"
#include "tests/contract/executor_under_test.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using std::chrono::steady_clock;

constexpr int kPatienceMs = 5000;

// Requests a stop, or does something else, when the step first says something.
class TriggerSink : public Sink {
 public:
  explicit TriggerSink(std::function<Status()> action) : action_(std::move(action)) {}
  Status write(std::span<const std::byte>) override {
    return std::exchange(done_, true) ? Status() : action_();
  }

 private:
  std::function<Status()> action_;
  bool done_ = false;
};

class ExecutorEndContract : public ExecutorContract {
 protected:
  void SetUp() override {
    ExecutorContract::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(::mkfifo(path("alive").c_str(), 0666), 0);
    alive_ = Fd(::open(path("alive").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }

  // Every process of the step holds the fifo's other end on descriptor 9.
  ExecRequest holding(const std::string& script) const {
    ExecRequest request = shell("exec 9>/alive; " + script);
    SandboxMount fifo;
    fifo.source = path("alive");
    fifo.target = "/alive";
    request.mounts = {fifo};
    return request;
  }

  bool all_gone(int patience_ms = 0) const {
    pollfd end{alive_.get(), POLLIN, 0};
    return ::poll(&end, 1, patience_ms) == 1 && (end.revents & POLLHUP) != 0;
  }

  Fd alive_;
};

TEST_P(ExecutorEndContract, WhatTheMainProcessLeavesBehindIsKilled) {
  const char* scripts[] = {
      "sleep 1000 & exit 3",
      "setsid sleep 1000 & exit 3",
      "(setsid sh -c 'sleep 1000 & sleep 1001' &) ; exit 3",
      "sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1000; done' & exit 3",
      "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; exit 3",
  };
  for (const char* script : scripts) {
    const Ran ran = run(holding(script));
    EXPECT_EQ(ran.code(), 3) << script << ran.err;
    EXPECT_TRUE(all_gone()) << script;
  }
}

TEST_P(ExecutorEndContract, ADaemonThatKeepsTheOutputOpenDoesNotHoldTheStep) {
  const Ran ran = run(holding("setsid sh -c 'sleep 1000' & echo started; exit 0"));
  EXPECT_EQ(ran.out, "started\n");
  EXPECT_TRUE(all_gone());
}

TEST_P(ExecutorEndContract, AForkBombEndsWithTheStep) {
  ExecRequest request = holding(
      "bomb() { sleep 1000 & sh -c : & }; i=0; while [ $i -lt 300 ]; do bomb; i=$((i+1)); "
      "done; echo ready; while :; do sleep 1000; done");
  std::stop_source stop;
  TriggerSink out([&] {
    stop.request_stop();
    return Status();
  });
  request.out = &out;
  EXPECT_EQ(code_of(executor_->run(request, stop.get_token())), "cancelled");
  EXPECT_TRUE(all_gone());
}

TEST_P(ExecutorEndContract, CancellingTakesLessThanASecond) {
  ExecRequest request = holding(
      "trap '' TERM INT HUP; (trap '' TERM; sleep 1000)& echo ready; while :; do sleep 1000; done");
  std::stop_source stop;
  steady_clock::time_point asked;
  TriggerSink out([&] {
    asked = steady_clock::now();
    stop.request_stop();
    return Status();
  });
  request.out = &out;
  EXPECT_EQ(code_of(executor_->run(request, stop.get_token())), "cancelled");
  EXPECT_LT(steady_clock::now() - asked, std::chrono::seconds(1));
  EXPECT_TRUE(all_gone());
}

TEST_P(ExecutorEndContract, AStepThatIsCancelledBeforeItStartsDoesNotStart) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of(run(shell("touch /started"), stop.get_token()).result), "cancelled");
  EXPECT_FALSE(must(exists(rootfs() + "/started")));
}

TEST_P(ExecutorEndContract, ASinkThatFailsEndsTheStepWithItsError) {
  ExecRequest request = holding("echo ready; sleep 1000");
  TriggerSink out([] { return fail(Code::kResourceExhausted, "disk full"); });
  request.out = &out;
  EXPECT_EQ(code_of(executor_->run(request, {})), "resource_exhausted");
  EXPECT_TRUE(all_gone());
}

TEST_P(ExecutorEndContract, WhenKilnIsKilledTheStepDies) {
  // In a child, because it is to be killed; it says through a pipe that the step runs.
  auto ready = must(Pipe::create());
  const pid_t kiln = ::fork();
  ASSERT_GE(kiln, 0);
  if (kiln == 0) {
    alive_.reset();
    FdSink out(ready.write_end.get());
    ExecRequest request = holding("trap '' TERM; setsid sleep 1000 & echo ready; sleep 1000");
    request.out = &out;
    const auto result = executor_->run(request, {});
    ::_exit(result ? 1 : 2);
  }
  ready.write_end.reset();
  char byte = 0;
  ASSERT_EQ(::read(ready.read_end.get(), &byte, 1), 1) << "the step did not start";
  EXPECT_FALSE(all_gone());
  ASSERT_EQ(::kill(kiln, SIGKILL), 0);
  ASSERT_EQ(::waitpid(kiln, nullptr, 0), kiln);
  EXPECT_TRUE(all_gone(kPatienceMs));
  // What the next start would sweep; this test's run directory sees none.
  const Fd run(::open(config_.run_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const DirEntry& entry : must(list_dir(run.get())))
    sweep_cgroups(must(detect_cgroups()), "kiln-" + entry.name + "-");
}

TEST_P(ExecutorEndContract, NothingStaysInTheRunDirectory) {
  ExecRequest absent = shell("");
  absent.meta.args = {"/absent"};
  must(executor_->run(shell("exit 1"), {}));
  EXPECT_EQ(code_of(executor_->run(absent, {})), "not_found");
  executor_.reset();
  const Fd run(::open(config_.run_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(must(list_dir(run.get())).empty());
}

TEST_P(ExecutorEndContract, WhatAKilledKilnLeftIsSweptAndTheLivingIsNot) {
  const fake::TreeMaker left(config_.run_directory);
  left.file("dead.lock").file("dead/0/config.json", "{}");
  const auto second = must(make_oci_executor(config_));
  EXPECT_FALSE(must(exists(config_.run_directory + "/dead")));
  EXPECT_FALSE(must(exists(config_.run_directory + "/dead.lock")));
  EXPECT_EQ(run("exit 5").code(), 5) << "the first executor's directory is still there";
}

TEST_P(ExecutorEndContract, ManyStepsRunAtOnce) {
  constexpr int kSteps = 16;
  std::vector<Ran> ran(kSteps, Ran{fail(Code::kInternal, ""), "", ""});
  std::vector<std::jthread> threads;
  for (int i = 0; i < kSteps; ++i)
    threads.emplace_back([&, i] {
      ExecRequest request = shell("sleep 0.2; echo " + std::to_string(i) + "; ip -o addr");
      request.rootfs = path("root" + std::to_string(i));
      fake::TreeMaker tree(request.rootfs);
      tree.file("bin/busybox", must(read_file(rootfs() + "/bin/busybox", 16U << 20U)), 0755);
      for (const char* name : {"sh", "sleep", "ip"})
        tree.symlink(std::string("bin/") + name, "busybox");
      request.network = llb::NetMode::kSandbox;
      ran[static_cast<size_t>(i)] = run(request);
    });
  threads.clear();
  for (int i = 0; i < kSteps; ++i) {
    const Ran& one = ran[static_cast<size_t>(i)];
    EXPECT_EQ(one.code(), 0) << (one.result ? one.err : one.result.error().to_string());
    EXPECT_THAT(one.out, testing::StartsWith(std::to_string(i) + "\n"));
  }
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ExecutorEndContract, testing::Values("crun", "runc"),
                         runtime_name);

}  // namespace
}  // namespace kiln
