// testdata/spec/<case>.json: the whole config.json of a case. KILN_ACCEPT=1 rewrites.
#include "solver/executor/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/fs.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;

SpecInput plain() {
  SpecInput input;
  input.rootfs = "/rootfs";
  input.args = {"/bin/sh", "-c", "make"};
  input.env = {"PATH=/bin", "HOME=/root"};
  input.user.additional_gids = {0};
  input.hostname = "buildkitsandbox";
  input.resolv_conf = "/bundle/resolv.conf";
  input.hosts = "/bundle/hosts";
  input.network_namespace = "/bundle/netns";
  input.architecture = "amd64";
  return input;
}

// The seccomp section has a golden file of its own.
std::string text_of(const SpecInput& input) {
  Json spec = runtime_spec(input);
  for (const Json::Member& member : spec.members()) {
    if (member.first != "linux") continue;
    Json linux = member.second;
    if (linux.find("seccomp") != nullptr) linux.set("seccomp", "…");
    spec.set("linux", linux);
    break;
  }
  return spec.dump_pretty() + "\n";
}

void expect_golden(const std::string& name, const std::string& actual) {
  const std::string path = std::string(KILN_SOURCE_DIR) + "/testdata/spec/" + name + ".json";
  if (std::getenv("KILN_ACCEPT") != nullptr) must(write_file(path, actual));
  EXPECT_EQ(must(read_file(path, 1U << 20U)), actual);
}

std::vector<std::string> targets(const Json& spec) {
  std::vector<std::string> out;
  for (const Json& mount : spec["mounts"].elements())
    out.push_back(mount["destination"].as_string());
  return out;
}

bool has_capability(const Json& spec, const std::string& name) {
  const auto names = spec["process"]["capabilities"]["bounding"].strings();
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST(SpecTest, APlainStepIsConfined) {
  expect_golden("plain", text_of(plain()));
}

TEST(SpecTest, AnInsecureStepIsNot) {
  SpecInput input = plain();
  input.security = llb::SecurityMode::kInsecure;
  input.available_capabilities = 0xffU;
  expect_golden("insecure", text_of(input));
}

TEST(SpecTest, EverythingASpecCanSay) {
  SpecInput input = plain();
  input.read_only_rootfs = true;
  input.cwd = "/src";
  input.user = {1000, 100, {100, 500}, "/home/user"};
  input.hostname = "builder";
  input.ulimits = {{"nofile", 1024, 2048}, {"core", -1, -1}};
  SandboxMount cache;
  cache.source = "/cache/1";
  cache.target = "/root/.cache";
  SandboxMount secret;
  secret.source = "/secrets/1";
  secret.target = "/run/secrets/key";
  secret.read_only = true;
  SandboxMount scratch;
  scratch.tmpfs = true;
  scratch.tmpfs_size_bytes = 1U << 20U;
  scratch.target = "/tmp";
  input.mounts = {cache, secret, scratch};
  input.network_namespace.clear();
  input.cgroup_view = CgroupView::kNone;
  input.runtime_cgroup = RuntimeCgroup{"/kiln-1", 100};
  input.resources = {1 << 20, 2 << 20, 512, 50000, 100000, "0-1", "0", 1 << 20};
  input.seccomp_filter = "AAAA";
  SandboxDevice zero{"/dev/gpu0", 'c', 1, 5, 0600, 0, 44, "rw"};
  SandboxDevice fifo{"/dev/events", 'p', 0, 0, std::nullopt, std::nullopt, std::nullopt, "rwm"};
  SandboxDevice disk{"/dev/disk", 'b', 254, 1, std::nullopt, std::nullopt, std::nullopt, ""};
  input.device_nodes = {zero, fifo, disk};
  input.hooks = {{"createContainer", "/bin/hook", {"hook", "a"}, {"E=1"}, 5},
                 {"createContainer", "/bin/other", {}, {}, std::nullopt},
                 {"poststop", "/bin/last", {}, {}, std::nullopt}};
  expect_golden("everything", text_of(input));
}

TEST(SpecTest, TheDefaultFilterForAmd64) {
  expect_golden("seccomp-amd64", runtime_spec(plain())["linux"]["seccomp"].dump_pretty() + "\n");
}

TEST(SpecTest, ACompiledFilterTakesTheProfilesPlace) {
  SpecInput input = plain();
  input.seccomp_filter = "AAAA";
  const Json spec = runtime_spec(input);
  EXPECT_EQ(spec["annotations"]["run.oci.seccomp_bpf_data"].as_string(), "AAAA");
  EXPECT_EQ(spec["linux"].find("seccomp"), nullptr);
}

TEST(SpecTest, WhatKilnCannotPassOnIsLeftOut) {
  SpecInput input = plain();
  input.available_capabilities = 1;  // CAP_CHOWN
  EXPECT_EQ(runtime_spec(input)["process"]["capabilities"]["effective"].strings(),
            std::vector<std::string>{"CAP_CHOWN"});
}

TEST(SpecTest, WithoutADeviceCgroupNoNodesCanBeMade) {
  SpecInput input = plain();
  EXPECT_TRUE(has_capability(runtime_spec(input), "CAP_MKNOD"));
  input.devices = DeviceAccess::kUnconfined;
  EXPECT_FALSE(has_capability(runtime_spec(input), "CAP_MKNOD"));
}

TEST(SpecTest, TheStepsMountsComeLastAndInOrder) {
  SpecInput input = plain();
  SandboxMount first, second;
  first.target = "/a";
  second.target = "/a/b";
  input.mounts = {first, second};
  const auto all = targets(runtime_spec(input));
  EXPECT_EQ(std::vector(all.end() - 4, all.end()),
            (std::vector<std::string>{"/etc/resolv.conf", "/etc/hosts", "/a", "/a/b"}));
}

TEST(SpecTest, TheSizeOfSharedMemoryIsTheUsers) {
  SpecInput input = plain();
  input.resources.shm_bytes = 4096;
  const Json spec = runtime_spec(input);
  bool found = false;
  for (const Json& mount : spec["mounts"].elements()) {
    if (mount["destination"].as_string() != "/dev/shm") continue;
    found = true;
    EXPECT_THAT(mount["options"].strings(), testing::Contains("size=4096"));
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace kiln
