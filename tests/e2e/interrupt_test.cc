// Steps that fail and builds that are stopped while steps run. What is waited for is always
// something that was seen to happen.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Runs until it is killed, with processes that do not want to go.
constexpr const char* kEndless =
    "FROM base\n"
    "RUN trap '' TERM INT HUP; (trap '' TERM INT HUP; sleep 1000) & setsid sleep 1000 & "
    "echo under way; sleep 1000; sleep 1000\n";

class InterruptTest : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    if (IsSkipped()) return;
    endless_ = context("endless", {{"Dockerfile", kEndless}});
  }
  // A build that is in the middle of its RUN.
  std::optional<RunningProcess> start_endless(const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = {KILN_BINARY, "--root", root(), "build", "--progress=plain"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(endless_);
    auto running = RunningProcess::start(argv, environment_);
    EXPECT_TRUE(running && running->saw(" under way\n"));
    return running;
  }
  // Of this root's steps: other roots may be busy.
  std::vector<std::string> cgroups() const {
    std::vector<std::string> found;
    const std::string bundles = root() + "/run/bundles";
    const auto directory = Root::open(bundles);
    const auto entries = directory ? list_dir(directory->fd()) : fail(Code::kNotFound, "");
    if (!entries) return found;
    for (const DirEntry& entry : *entries) {
      if (entry.type != DT_DIR) continue;
      const std::string name = "kiln-" + entry.name + "-*";
      const std::string groups =
          command({"find", "/sys/fs/cgroup", "-type", "d", "-name", name}).out;
      if (!groups.empty()) found.push_back(groups);
    }
    return found;
  }
  std::string endless_;
};

class SignalTest : public InterruptTest, public ::testing::WithParamInterface<int> {};

TEST_P(SignalTest, EndsTheBuildWithAllItStarted) {
  auto running = start_endless({"-t", "app"});
  ASSERT_TRUE(running);
  running->signal(GetParam());
  const Output output = running->wait();
  EXPECT_EQ(output.exit_code, 130) << output.err;
  EXPECT_THAT(output.err, HasSubstr("CANCELED"));
  EXPECT_THAT(output.err, Not(HasSubstr("internal error")));
  EXPECT_EQ(cgroups(), std::vector<std::string>());
  EXPECT_EQ(kiln({"images", "-q", "app"}).out, "");
  expect_no_harm(root(), path("none.tar"), "a signal");
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalTest, ::testing::Values(SIGINT, SIGTERM, SIGHUP),
                         [](const auto& number) {
                           return std::string(::sigabbrev_np(number.param));
                         });

// git waits for ssh here, which waits for ever.
TEST_F(InterruptTest, EndsGitWithTheHelpersItStarted) {
  ASSERT_TRUE(make_dirs(path("bin")));
  ASSERT_EQ(::mkfifo(path("under-way").c_str(), 0600), 0);
  ASSERT_TRUE(write_file(path("bin/ssh"), "#!/bin/sh\necho > '" + path("under-way") +
                                              "'\nsetsid sleep 1000 &\nsleep 1000\n"));
  ASSERT_EQ(::chmod(path("bin/ssh").c_str(), 0755), 0);
  std::vector<std::string> environment = environment_;
  environment.front().insert(5, path("bin") + ":");
  const Fd under_way(::open(path("under-way").c_str(), O_RDWR | O_CLOEXEC));
  for (const int signal : {SIGINT, SIGKILL}) {
    auto running = RunningProcess::start(
        {KILN_BINARY, "--root", root(), "build", "--ssh", "default=x", "ssh://git@h.example/r.git"},
        environment);
    ASSERT_TRUE(running);
    struct pollfd waiting {
      under_way.get(), POLLIN, 0
    };
    ASSERT_EQ(::poll(&waiting, 1, 60'000), 1);
    char line = 0;
    ASSERT_EQ(::read(under_way.get(), &line, 1), 1);
    running->signal(signal);
    (void)running->wait();  // how it ends is for the other tests
    EXPECT_EQ(descendants_.left(), std::vector<std::string>()) << signal;
  }
}

TEST_F(InterruptTest, ASecondSignalDoesNotWait) {
  auto running = start_endless();
  ASSERT_TRUE(running);
  running->signal(SIGINT);
  running->signal(SIGTERM);  // another number: two of one could arrive as one
  EXPECT_EQ(running->wait().exit_code, 130);
  expect_no_harm(root(), path("none.tar"), "two signals");
}

TEST_F(InterruptTest, SigkillLeavesNothingThatTheNextBuildDoesNotSweep) {
  auto running = start_endless();
  ASSERT_TRUE(running);
  running->signal(SIGKILL);
  EXPECT_EQ(running->wait().exit_code, 128 + SIGKILL);
  expect_nothing_left(path("none.tar"), "SIGKILL");
  const std::vector<std::string> before = cgroups();
  expect_right_image(root(), "SIGKILL");
  for (const std::string& list : before)
    EXPECT_NE(command({"ls", list.substr(0, list.find('\n'))}).exit_code, 0) << list;
}

TEST_F(InterruptTest, AWaiterForTheSameStepGoesOnWhenTheFirstIsKilled) {
  const std::string c = context(
      "c", {{"Dockerfile",
             "FROM base\nRUN --mount=type=cache,target=/c if [ -e /c/again ]; then echo second > "
             "/made; else touch /c/again; echo under way; sleep 1000; fi\n"}});
  const std::vector<std::string> argv = {KILN_BINARY,        "--root", root(), "build",
                                         "--progress=plain", "-o",     "",     c};
  auto with_output = [&](const std::string& output) {
    std::vector<std::string> full = argv;
    full[6] = output;
    return full;
  };
  auto first = RunningProcess::start(with_output(path("o1")), environment_);
  ASSERT_TRUE(first && first->saw(" under way\n"));
  auto second = RunningProcess::start(with_output(path("o2")), environment_);
  ASSERT_TRUE(second && second->saw("FROM "));
  first->signal(SIGKILL);
  EXPECT_EQ(first->wait().exit_code, 128 + SIGKILL);
  const Output output = second->wait();
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(read_file(path("o2/made"), 100).value_or(""), "second\n");
}

TEST_F(InterruptTest, AFailingStepCancelsTheOthersAndShowsItsOutput) {
  // The failing step waits until the other one is seen to run.
  const std::string c = context(
      "c", {{"Dockerfile",
             "FROM base AS slow\n"
             "RUN --mount=type=cache,target=/c touch /c/running; sleep 1000; sleep 1000\n"
             "FROM base AS failing\n"
             "RUN --mount=type=cache,target=/c while [ ! -e /c/running ]; do sleep 0.02; done; "
             "echo out-of-it; echo err-of-it >&2; exit 7\n"
             "FROM base\nCOPY --from=slow /x /x\nCOPY --from=failing /x /y\nRUN echo never\n"}});
  const Output output = kiln({"build", "--progress=plain", "-t", "app", c});
  EXPECT_EQ(output.exit_code, 1) << output.err;
  for (const char* text : {"did not complete successfully: exit code: 7", "out-of-it", "err-of-it",
                           "CANCELED", " 4 | >>> RUN"})
    EXPECT_THAT(output.err, HasSubstr(text));
  EXPECT_THAT(output.err, Not(HasSubstr("RUN echo never\n#")));
  EXPECT_EQ(cgroups(), std::vector<std::string>());
  EXPECT_EQ(kiln({"images", "-q", "app"}).out, "");
  expect_no_harm(root(), path("none.tar"), "a failing step");
}

}  // namespace
}  // namespace kiln::e2e
