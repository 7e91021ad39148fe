#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/process.h"

namespace kiln {
namespace {

ProcessSpec isolated_shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script};
  spec.env = {"PATH=/usr/bin:/bin"};
  spec.isolation.emplace();
  return spec;
}

class ProcessIsolationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "namespaces are made as root here";
  }
};

TEST_F(ProcessIsolationTest, TheProgramIsInitAndSeesItsOwnProc) {
  const auto run = run_captured(isolated_shell("echo $$; readlink /proc/self; echo /proc/[0-9]*"),
                                "", 1 << 16, {});
  ASSERT_TRUE(run) << run.error().to_string();
  EXPECT_EQ(run->out, "1\n2\n/proc/1\n");
}

TEST_F(ProcessIsolationTest, WhatItLeftBehindIsGoneWhenWaitReturns) {
  auto pipe = Pipe::create();
  ASSERT_TRUE(pipe);
  ProcessSpec spec = isolated_shell("trap '' TERM HUP; setsid sleep 1000 & exit 3");
  spec.out = pipe->write_end.get();
  auto child = Child::spawn(spec);
  ASSERT_TRUE(child) << child.error().to_string();
  pipe->write_end.reset();
  const auto status = child->wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 3);
  pollfd end{pipe->read_end.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&end, 1, 0), 1) << "somebody still holds the pipe";
  EXPECT_EQ(end.revents, POLLHUP);
}

TEST_F(ProcessIsolationTest, NamespacesAreMountedOverFilesOnlyThere) {
  auto directory = TempDir::create("/tmp", "kiln-isolation-");
  ASSERT_TRUE(directory);
  const std::string target = directory->path() + "/target";
  ASSERT_TRUE(write_file(target, "outside"));
  const Fd fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  ProcessSpec spec = isolated_shell("stat -c %i " + target + "; stat -Lc %i /proc/self/ns/net");
  spec.isolation->mounts.push_back({fd.get(), target});
  const auto run = run_captured(spec, "", 1 << 16, {});
  ASSERT_TRUE(run) << run.error().to_string();
  const size_t half = run->out.size() / 2;
  EXPECT_EQ(run->out.substr(0, half), run->out.substr(half));
  EXPECT_EQ(read_file(target, 100).value(), "outside");
}

TEST_F(ProcessIsolationTest, MountsAreUnmountedOnlyThere) {
  ProcessSpec spec = isolated_shell("ls /sys | wc -l");
  spec.isolation->unmounts = {"/sys", "/absent", "/usr"};
  const auto run = run_captured(spec, "", 1 << 16, {});
  ASSERT_TRUE(run) << run.error().to_string();
  EXPECT_EQ(run->out, "0\n");
  EXPECT_EQ(::access("/sys/kernel", F_OK), 0);
}

TEST_F(ProcessIsolationTest, AFailedMountNamesItsTarget) {
  ProcessSpec spec = isolated_shell("true");
  const Fd fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  spec.isolation->mounts.push_back({fd.get(), "/absent/target"});
  const auto child = Child::spawn(spec);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code(), Code::kNotFound);
  EXPECT_NE(child.error().message().find("/absent/target"), std::string::npos);
}

TEST_F(ProcessIsolationTest, AProgramMayBeNamedApartFromItsFirstArgument) {
  ProcessSpec spec = isolated_shell("echo $0");
  spec.program = "/bin/sh";
  spec.argv = {"other-name", "-c", "echo $0"};
  const auto run = run_captured(spec, "", 1 << 16, {});
  ASSERT_TRUE(run) << run.error().to_string();
  EXPECT_EQ(run->out, "other-name\n");
}

}  // namespace
}  // namespace kiln
