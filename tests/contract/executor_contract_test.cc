// What every Executor promises (solver/executor/executor.h, SAFETY.md 2): what a step gets, what
// it may not do, and what it leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "solver/executor/own_capabilities.h"
#include "tests/contract/executor_under_test.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using testing::HasSubstr;
using testing::Not;

TEST_P(ExecutorContract, StreamsStayApartAndTheExitCodeIsAValue) {
  const Ran ran = run("echo to-out; echo to-err >&2; exit 7");
  EXPECT_EQ(ran.code(), 7);
  EXPECT_EQ(ran.out, "to-out\n");
  EXPECT_EQ(ran.err, "to-err\n");
}

TEST_P(ExecutorContract, NoOutputIsLost) {
  constexpr size_t kBytes = 5U << 20U;
  const std::string out = output("yes 0123456789abcde | head -c 5242880");
  ASSERT_EQ(out.size(), kBytes);
  for (size_t i = 0; i < kBytes; i += 16) ASSERT_EQ(out.substr(i, 16), "0123456789abcde\n") << i;
}

TEST_P(ExecutorContract, OutputNeedsNoSink) {
  EXPECT_EQ(must(executor_->run(shell("echo nobody listens"), {})).code, 0);
}

TEST_P(ExecutorContract, ASignalsDeathIs128AndMore) {
  EXPECT_EQ(run("sh -c 'kill -9 $$'; exit $?").code(), 137);
}

TEST_P(ExecutorContract, TheEnvironmentIsTheDeclaredOne) {
  ExecRequest request = shell("");
  request.meta.args = {"/bin/env"};
  request.meta.env = {"PATH=/bin", "ONE=1", "TWO=a b"};
  request.extra_env = {"SECRET=s"};
  EXPECT_THAT(split(trim(output(request)), '\n'),
              testing::IsSupersetOf({"PATH=/bin", "ONE=1", "TWO=a b", "SECRET=s", "HOME=/"}));
  for (const std::string& line : split(trim(output(request)), '\n'))
    EXPECT_THAT(line.substr(0, line.find('=')),
                testing::AnyOf("PATH", "ONE", "TWO", "SECRET", "HOME", "HOSTNAME", "container"));
}

TEST_P(ExecutorContract, StandardInputIsEmptyAndNoDescriptorLeaksIn) {
  EXPECT_EQ(output("cat; ls /proc/1/fd; true"), "0\n1\n2\n");
}

TEST_P(ExecutorContract, UsersAreTheImages) {
  tree_.file("etc/passwd", "app:x:1000:1001::/home/app:/bin/sh\n");
  tree_.file("etc/group", "app:x:1001:\nextra:x:50:app\n");
  ExecRequest request = shell("id -u; id -g; id -G; echo $HOME");
  request.meta.user = "app";
  EXPECT_EQ(output(request), "1000\n1001\n1001 50\n/home/app\n");
  request.meta.user = "7:8";
  EXPECT_EQ(output(request), "7\n8\n8\n/\n");
  request.meta.user = "nobody";
  EXPECT_EQ(code_of(run(request).result), "invalid_argument");
}

TEST_P(ExecutorContract, AUserOtherThanRootHasNoCapabilities) {
  ExecRequest request = shell("grep CapEff /proc/self/status");
  request.meta.user = "1000";
  EXPECT_EQ(output(request), "CapEff:\t0000000000000000\n");
}

TEST_P(ExecutorContract, TheWorkingDirectoryIsMadeForTheUser) {
  ExecRequest request = shell("echo $PWD; touch x; stat -c %u .");
  request.meta.cwd = "/deep/er";
  request.meta.user = "1000";
  EXPECT_EQ(output(request), "/deep/er\n1000\n");
  EXPECT_TRUE(must(exists(rootfs() + "/deep/er/x")));
}

TEST_P(ExecutorContract, WhatCannotRunIsAnErrorThatNamesIt) {
  ExecRequest request = shell("");
  request.meta.args = {"/bin/absent"};
  Ran ran = run(request);
  EXPECT_EQ(code_of(ran.result), "not_found");
  EXPECT_THAT(fake::message_of(ran.result), HasSubstr("/bin/absent"));
  EXPECT_EQ(ran.out, "");
  request.meta.args = {"absent-too"};
  ran = run(request);
  EXPECT_EQ(code_of(ran.result), "not_found");
  EXPECT_THAT(fake::message_of(ran.result), HasSubstr("absent-too"));
  tree_.file("bin/plain", "text", 0644);
  request.meta.args = {"/bin/plain"};
  EXPECT_EQ(code_of(run(request).result), "permission_denied");
  request.meta.args = {};
  EXPECT_EQ(code_of(run(request).result), "invalid_argument");
  request = shell("true");
  request.meta.cwd = "/bin/busybox";
  EXPECT_EQ(code_of(run(request).result), "invalid_argument");
}

TEST_P(ExecutorContract, AnAbsentRuntimeIsNamed) {
  config_.runtime = "kiln-no-such-runtime";
  const auto executor = must(make_oci_executor(config_));
  const auto result = executor->run(shell("true"), {});
  EXPECT_EQ(code_of(result), "not_found");
  EXPECT_THAT(fake::message_of(result), HasSubstr("kiln-no-such-runtime"));
}

TEST_P(ExecutorContract, EveryNamespaceIsItsOwn) {
  const std::string names = "mnt pid ipc uts cgroup net";
  const std::string inside =
      output("for n in " + names + "; do readlink /proc/self/ns/$n; done; echo $$; hostname");
  std::vector<std::string> lines = split(trim(inside), '\n');
  ASSERT_EQ(lines.size(), 8U);
  size_t i = 0;
  for (const std::string& name : split(names, ' ')) {
    std::string outside(100, '\0');
    const ssize_t length =
        ::readlink(("/proc/self/ns/" + name).c_str(), outside.data(), outside.size());
    ASSERT_GT(length, 0);
    EXPECT_NE(lines[i++], outside.substr(0, static_cast<size_t>(length))) << name;
  }
  EXPECT_EQ(lines[6], "1");
  EXPECT_EQ(lines[7], "buildkitsandbox");
}

TEST_P(ExecutorContract, CapabilitiesAreDockersAndTheFilterIsOn) {
  const std::string status = output("cat /proc/self/status");
  std::array<char, 32> expected{};
  std::snprintf(expected.data(), expected.size(), "%016lx", 0xa80425fbUL & own_capabilities());
  for (const char* set : {"CapPrm", "CapEff", "CapBnd"})
    EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t" + expected.data()));
  for (const char* set : {"CapInh", "CapAmb"})
    EXPECT_THAT(status, HasSubstr(std::string(set) + ":\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t0"));
}

TEST_P(ExecutorContract, WhatASandboxMayNotDoFails) {
  for (const char* script :
       {"mount -t tmpfs none /bin", "unshare -n true", "hostname other", "echo 1 > /proc/sys/vm/x",
        "echo b > /proc/sysrq-trigger",
        "for d in /sys/fs/cgroup/*/; do mkdir $d/x && exit 0; done; exit 1",
        "test -f /sys/fs/cgroup/cgroup.procs && mkdir /sys/fs/cgroup/x", "touch /sys/x",
        "echo x > /etc/hosts", "rm /etc/resolv.conf", "ls /proc/acpi | grep .", "grep . /proc/keys",
        "ls /sys/firmware | grep ."})
    EXPECT_NE(run(script).code(), 0) << script;
}

TEST_P(ExecutorContract, DeviceNodesCanBeMadeButNotOpened) {
  const Ran ran =
      run("mknod /disk b 254 0 && mknod /dev/disk b 254 0 && mknod /mem c 1 1 || exit 9;"
          "for f in /disk /dev/disk /mem; do head -c 1 $f && exit 1; done; rm /disk /mem;"
          "head -c 1 /dev/zero | wc -c; echo x > /dev/null; exit 0");
  EXPECT_EQ(ran.code(), 0) << ran.err;
  EXPECT_EQ(ran.out, "1\n");
}

TEST_P(ExecutorContract, ADeviceOfTheImageCannotBeOpened) {
  tree_.node("evil", S_IFBLK | 0666, makedev(254, 0));
  EXPECT_NE(run("head -c 1 /evil").code(), 0);
}

TEST_P(ExecutorContract, AnInsecureStepMay) {
  ExecRequest request =
      shell("mkdir /m && mount -t tmpfs none /m && echo mounted; grep Seccomp: /proc/self/status");
  request.security = llb::SecurityMode::kInsecure;
  const std::string out = output(request);
  EXPECT_THAT(out, HasSubstr("mounted"));
  EXPECT_THAT(out, HasSubstr("Seccomp:\t0"));
}

TEST_P(ExecutorContract, NothingOfTheSandboxIsLeftInTheTree) {
  const std::string before = fake::tree_text(rootfs());
  const Ran ran = run("ls /proc/self /dev/null /sys/kernel /etc/hosts >/dev/null");
  EXPECT_EQ(ran.code(), 0) << ran.err;
  EXPECT_EQ(fake::tree_text(rootfs()), before);
}

TEST_P(ExecutorContract, NothingOfTheSandboxIsLeftInALayer) {
  tree_.dir("etc").settle();
  for (const char* name : {"upper", "work", "merged"}) must(make_dirs(path(name)));
  const std::string options =
      "lowerdir=" + rootfs() + ",upperdir=" + path("upper") + ",workdir=" + path("work");
  if (::mount("overlay", path("merged").c_str(), "overlay", 0, options.c_str()) != 0)
    GTEST_SKIP() << "overlayfs cannot be mounted here";
  ExecRequest request = shell("cat /etc/hosts /etc/resolv.conf > /dev/null; ls /run/key/dir");
  request.rootfs = path("merged");
  const std::string before = fake::tree_text(path("upper"));
  SandboxMount secret;
  secret.source = path("upper");
  secret.target = "/run/key/dir";
  request.mounts = {secret};
  const Ran ran = run(request);
  ASSERT_EQ(::umount2(path("merged").c_str(), 0), 0) << "somebody still uses it";
  EXPECT_EQ(ran.code(), 0) << ran.err;
  // A directory that was copied up with all it had is no change.
  EXPECT_EQ(fake::tree_text(path("upper")), before + "etc d0755 0:0 1000000000.000000000\n");
}

TEST_P(ExecutorContract, HostsAndResolverAreGenerated) {
  must(write_file(path("resolv"), "nameserver 192.0.2.53\nsearch lan\n"));
  config_.resolv_conf = path("resolv");
  config_.run_directory = path("run2");
  executor_ = must(make_oci_executor(config_));
  tree_.symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
  tree_.file("etc/hosts", "of the image");
  ExecRequest request = shell("cat /etc/resolv.conf /etc/hosts");
  request.add_hosts = {{"db", "10.0.0.5"}};
  EXPECT_EQ(output(request),
            "nameserver 192.0.2.53\nsearch lan\n127.0.0.1\tlocalhost buildkitsandbox\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.5\tdb\n");
  EXPECT_EQ(must(read_file(rootfs() + "/etc/hosts", 100)), "of the image");
  EXPECT_FALSE(must(exists(rootfs() + "/run")));
}

TEST_P(ExecutorContract, MountsAreAsAsked) {
  fake::TreeMaker(path("cache")).file("old", "kept");
  must(write_file(path("secret"), "s3cret"));
  SandboxMount cache, secret, scratch, below;
  cache.source = path("cache");
  cache.target = "/var/cache/x";
  secret.source = path("secret");
  secret.target = "/run/secrets/key";
  secret.read_only = true;
  scratch.tmpfs = true;
  scratch.tmpfs_size_bytes = 1U << 20U;
  scratch.target = "/scratch";
  below.source = path("cache");
  below.target = "/scratch/below";
  ExecRequest request = shell(
      "cat /var/cache/x/old /run/secrets/key; echo new > /var/cache/x/new;"
      "echo x > /run/secrets/key && exit 1; echo t > /scratch/t; cat /scratch/below/new;"
      "dd if=/dev/zero of=/scratch/big bs=1M count=2 2>/dev/null && exit 2; exit 0");
  request.mounts = {cache, secret, scratch, below};
  const std::string before = fake::tree_text(rootfs());
  EXPECT_EQ(output(request), "kepts3cretnew\n");
  EXPECT_EQ(must(read_file(path("cache/new"), 100)), "new\n");
  EXPECT_EQ(fake::tree_text(rootfs()), before);
}

TEST_P(ExecutorContract, AMountTargetThroughALinkStaysInside) {
  tree_.symlink("out", "/../../../..");
  SandboxMount mount;
  mount.source = path("rootfs/bin");
  mount.target = "/out/landed";
  ExecRequest request = shell("ls /landed/busybox");
  request.mounts = {mount};
  EXPECT_EQ(output(request), "/landed/busybox\n");
}

TEST_P(ExecutorContract, ImagesThatBendSystemDirectoriesAreRefused) {
  tree_.symlink("proc", "/etc");
  EXPECT_EQ(code_of(run("true").result), "invalid_argument");
}

TEST_P(ExecutorContract, AReadOnlyRootCannotBeWritten) {
  tree_.dir("proc").dir("dev").dir("sys").file("etc/hosts").file("etc/resolv.conf");
  ExecRequest request = shell("touch /x && exit 1; exit 0");
  request.read_only_rootfs = true;
  EXPECT_EQ(run(request).code(), 0);
}

TEST_P(ExecutorContract, AStepWithALimitSeesItsCgroups) {
  ExecRequest request = shell("ls /sys/fs/cgroup | head -n 1");
  request.resources.memory_bytes = 64U << 20U;
  const Ran ran = run(request);
  if (!ran.result && ran.result.error().message().find("cannot limit") != std::string::npos)
    GTEST_SKIP() << ran.result.error().message();
  EXPECT_GT(ran.out.size(), 1U) << ran.err;
}

TEST_P(ExecutorContract, LimitsAct) {
  ExecRequest request = shell("ulimit -n; ulimit -Hn; df -k /dev/shm | tail -n 1");
  request.meta.ulimits = {{"nofile", 100, 200}};
  request.resources.shm_bytes = 1U << 20U;
  const std::string out = output(request);
  EXPECT_THAT(out, testing::StartsWith("100\n200\n"));
  EXPECT_THAT(out, HasSubstr(" 1024 "));
}

TEST_P(ExecutorContract, TooMuchMemoryIsKilledAndTold) {
  ExecRequest request = shell("head -c 200000000 /dev/zero | tail");
  request.resources.memory_bytes = 30 << 20;
  const Ran ran = run(request);
  if (!ran.result && ran.result.error().code() == Code::kFailedPrecondition)
    GTEST_SKIP() << ran.result.error().message();
  EXPECT_EQ(ran.code(), 137) << ran.err;
  if (!is_crun()) return;  // others remove the group, and with it the answer, before they end
  EXPECT_TRUE(ran.result->oom_killed);
  EXPECT_GT(ran.result->peak_memory_bytes, 20U << 20U);
}

TEST_P(ExecutorContract, LimitsOnTheProcessorAct) {
  ExecRequest request = shell("grep Cpus_allowed_list /proc/self/status");
  request.resources.cpuset_cpus = "0";
  request.resources.cpu_quota_us = 50000;
  request.resources.cpu_shares = 512;
  const Ran ran = run(request);
  if (!ran.result && ran.result.error().code() == Code::kFailedPrecondition)
    GTEST_SKIP() << ran.result.error().message();
  EXPECT_EQ(ran.out, "Cpus_allowed_list:\t0\n") << ran.err;
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ExecutorContract, testing::Values("crun", "runc"), runtime_name);

}  // namespace
}  // namespace kiln
