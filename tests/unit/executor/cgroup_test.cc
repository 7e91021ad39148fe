#include <gtest/gtest.h>

#include "solver/executor/cgroup_hierarchy.h"
#include "solver/executor/cgroup_settings.h"
#include "solver/executor/own_capabilities.h"

namespace kiln {
namespace {

constexpr const char* kV1Mounts =
    "30 22 0:27 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "39 30 0:36 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n";
constexpr const char* kV2Mount =
    "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(CgroupHierarchyTest, VersionOneIsFoundByController) {
  const CgroupHierarchies found =
      parse_cgroups(kV1Mounts, "4:memory:/outer/me\n1:cpu,cpuacct:/\n9:name=systemd:/x\n");
  EXPECT_EQ(found.v1.size(), 2U);
  EXPECT_EQ(found.v1.at(Controller::kMemory).own_group, "/sys/fs/cgroup/memory/outer/me");
  EXPECT_EQ(found.v1.at(Controller::kCpu).own_group, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(found.v1_mount_points.size(), 3U);
  EXPECT_FALSE(found.v2);
  EXPECT_FALSE(found.is_hybrid());
  EXPECT_FALSE(found.is_absent());
}

TEST(CgroupHierarchyTest, VersionTwoAlone) {
  const CgroupHierarchies found = parse_cgroups(
      "30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", "0::/user.slice/s\n");
  ASSERT_TRUE(found.v2);
  EXPECT_EQ(found.v2->own_group, "/sys/fs/cgroup/user.slice/s");
  EXPECT_FALSE(found.is_hybrid());
}

TEST(CgroupHierarchyTest, BothAtOnceIsHybrid) {
  const CgroupHierarchies found =
      parse_cgroups(std::string(kV1Mounts) + kV2Mount, "0::/\n4:memory:/m\n");
  EXPECT_TRUE(found.is_hybrid());
  EXPECT_EQ(found.v2->mount_point, "/sys/fs/cgroup/unified");
}

TEST(CgroupHierarchyTest, AMountThatShowsAPartIsCutFromTheGroup) {
  const char* mounts =
      "34 30 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
  const auto own = [&](const char* group) {
    return parse_cgroups(mounts, std::string("4:memory:") + group + "\n")
        .v1.at(Controller::kMemory)
        .own_group;
  };
  EXPECT_EQ(own("/docker/abc"), "/sys/fs/cgroup/memory");
  EXPECT_EQ(own("/docker/abc/x"), "/sys/fs/cgroup/memory/x");
  EXPECT_EQ(own("/docker/abcd"), "/sys/fs/cgroup/memory") << "another group";
  EXPECT_EQ(own("/elsewhere"), "/sys/fs/cgroup/memory");
  EXPECT_EQ(own("/../../x"), "/sys/fs/cgroup/memory") << "outside of the namespace";
}

TEST(CgroupHierarchyTest, EscapedPathsAreReadAndJunkIsSkipped) {
  const CgroupHierarchies found = parse_cgroups(
      "junk\n1 2 3:4 / /a\\040b rw - cgroup2 none rw\n5 6 - cgroup\n\n", "junk\n::\n0:/x\n");
  ASSERT_TRUE(found.v2);
  EXPECT_EQ(found.v2->mount_point, "/a b");
  EXPECT_TRUE(parse_cgroups("", "").is_absent());
}

std::string text(const std::vector<CgroupSetting>& settings) {
  std::string out;
  for (const CgroupSetting& setting : settings)
    out += setting.file + "=" + setting.value +
           (setting.need == CgroupSetting::Need::kAsked ? "!" : "") + "\n";
  return out;
}

TEST(CgroupSettingsTest, BothVersionsSayTheSame) {
  struct Case {
    llb::Resources limits;
    const char *v1, *v2;
  };
  llb::Resources memory, swap, unlimited_swap, cpu, cpuset, period;
  memory.memory_bytes = 1000;
  swap.memory_bytes = 1000;
  swap.memory_swap_bytes = 1500;
  unlimited_swap.memory_bytes = 1000;
  unlimited_swap.memory_swap_bytes = -1;
  cpu.cpu_shares = 1024;
  cpu.cpu_quota_us = 50000;
  cpuset.cpuset_cpus = "0-1";
  cpuset.cpuset_mems = "0";
  period.cpu_period_us = 20000;
  const Case cases[] = {
      {{}, "", ""},
      {memory, "memory.limit_in_bytes=1000!\nmemory.memsw.limit_in_bytes=2000\n",
       "memory.max=1000!\nmemory.swap.max=1000\n"},
      {swap, "memory.limit_in_bytes=1000!\nmemory.memsw.limit_in_bytes=1500!\n",
       "memory.max=1000!\nmemory.swap.max=500!\n"},
      {unlimited_swap, "memory.limit_in_bytes=1000!\nmemory.memsw.limit_in_bytes=-1!\n",
       "memory.max=1000!\nmemory.swap.max=max!\n"},
      {cpu, "cpu.shares=1024!\ncpu.cfs_quota_us=50000!\n",
       "cpu.weight=39!\ncpu.max=50000 100000!\n"},
      {period, "cpu.cfs_period_us=20000!\n", "cpu.max=max 20000!\n"},
      {cpuset, "cpuset.cpus=0-1!\ncpuset.mems=0!\n", "cpuset.cpus=0-1!\ncpuset.mems=0!\n"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(text(cgroup_v1_settings(c.limits, 0)), c.v1);
    EXPECT_EQ(text(cgroup_v2_settings(c.limits, 0)), c.v2);
  }
  EXPECT_EQ(text(cgroup_v1_settings({}, 5)), "pids.max=5\n") << "kiln's own: may be left out";
}

TEST(OwnCapabilitiesTest, WhatIsBothPermittedAndInTheBoundingSet) {
  EXPECT_EQ(parse_capabilities("Name:\tx\nCapPrm:\t000001fffeffffff\nCapBnd:\t00000000000000ff\n"),
            0xffU);
  EXPECT_EQ(parse_capabilities("CapPrm:\tjunk\nCapBnd:\tff\n"), 0U);
  EXPECT_EQ(parse_capabilities(""), 0U);
}

}  // namespace
}  // namespace kiln
