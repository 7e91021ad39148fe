#include "solver/executor/cgroup_devices.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/process.h"
#include "solver/executor/step_cgroup.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;

// A group of its own that a child joins; removed at the end.
class CgroupDevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "cgroups are made as root here";
    ASSERT_EQ(::mknod(node().c_str(), S_IFCHR | 0600, makedev(1, 11)), 0);  // /dev/kmsg
  }
  void TearDown() override {
    if (!group_.empty()) ::rmdir(group_.c_str());
  }
  bool make_group(const std::string& parent) {
    group_ = parent + "/kiln-devices-test-" + std::to_string(::getpid());
    return ::mkdir(group_.c_str(), 0755) == 0;
  }
  std::string node() const { return directory_.path() + "/node"; }
  std::string made() const { return directory_.path() + "/made"; }

  // What a shell in the group finds it may do.
  std::string tried(const char* join_file) const {
    ProcessSpec spec;
    spec.argv = {
        "/bin/sh", "-c",
        "exec 2>/dev/null; echo x > /dev/null && echo null; head -c 1 /dev/zero >/dev/null "
        "&& echo zero; (: < " +
            node() + ") && echo node; mknod " + made() + " b 254 0 && echo mknod; (: < " + made() +
            ") && echo made; exit 0"};
    spec.env = {"PATH=/usr/bin:/bin"};
    spec.cgroup_procs = {group_ + join_file};
    return must(run_captured(spec, "", 1U << 16U, {})).out;
  }

  std::string group_;
  TempDir directory_ = must(TempDir::create("/tmp", "kiln-devices-"));
};

TEST_F(CgroupDevicesTest, VersionOneConfinesByItsController) {
  const CgroupHierarchies found = must(detect_cgroups());
  const auto devices = found.v1.find(Controller::kDevices);
  if (devices == found.v1.end() || !make_group(devices->second.own_group))
    GTEST_SKIP() << "there is no devices controller of version 1";
  must(confine_devices_v1(group_));
  EXPECT_EQ(tried("/tasks"), "null\nzero\nmknod\n");
}

TEST_F(CgroupDevicesTest, VersionTwoConfinesByAProgram) {
  const CgroupHierarchies found = must(detect_cgroups());
  if (!found.v2 || !make_group(found.v2->mount_point))
    GTEST_SKIP() << "there are no cgroups of version 2";
  must(confine_devices_v2(group_));
  EXPECT_EQ(tried("/cgroup.procs"), "null\nzero\nmknod\n");
}

TEST_F(CgroupDevicesTest, WhatIsAllowedBesidesOpensAsAllowed) {
  const CgroupHierarchies found = must(detect_cgroups());
  const auto v1 = found.v1.find(Controller::kDevices);
  const std::vector<DeviceRule> write_only = {{'c', 1, 11, "w"}, {'b', 1, 11, "rwm"}};
  const std::vector<DeviceRule> readable = {{'b', 254, 0, "r"}, {'c', 1, 11, "r"}};
  const auto try_with = [&](const std::string& parent, const auto& confine, const char* join_file,
                            const std::vector<DeviceRule>& allowed) {
    if (!make_group(parent)) return std::string("no group can be made");
    must(confine(group_, allowed));
    std::string out = tried(join_file);
    ::rmdir(group_.c_str());
    ::unlink(made().c_str());
    return out;
  };
  if (v1 != found.v1.end()) {
    const std::string& parent = v1->second.own_group;
    EXPECT_EQ(try_with(parent, confine_devices_v1, "/tasks", write_only), "null\nzero\nmknod\n");
    EXPECT_EQ(try_with(parent, confine_devices_v1, "/tasks", readable),
              "null\nzero\nnode\nmknod\n");
  }
  if (found.v2) {
    const std::string& parent = found.v2->mount_point;
    EXPECT_EQ(try_with(parent, confine_devices_v2, "/cgroup.procs", write_only),
              "null\nzero\nmknod\n");
    EXPECT_EQ(try_with(parent, confine_devices_v2, "/cgroup.procs", readable),
              "null\nzero\nnode\nmknod\n");
  }
}

TEST_F(CgroupDevicesTest, OutsideOfAGroupEverythingOpens) {
  const CgroupHierarchies found = must(detect_cgroups());
  if (!found.v2 || !make_group(found.v2->mount_point))
    GTEST_SKIP() << "there are no cgroups of version 2";
  EXPECT_EQ(tried("/cgroup.procs").substr(0, 15), "null\nzero\nnode\n") << "the test can tell";
}

class StepCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "cgroups are made as root here";
    hierarchies_ = must(detect_cgroups());
    if (hierarchies_.is_absent()) GTEST_SKIP() << "no cgroups are mounted";
  }
  std::string name_ = "kiln-test-" + std::to_string(::getpid()) + "-0";
  CgroupHierarchies hierarchies_;
};

TEST_F(StepCgroupTest, GroupsAreMadeJoinedAndGone) {
  StepCgroup::Limits limits;
  limits.pids = 100;
  StepCgroup group = must(StepCgroup::create(hierarchies_, name_, limits));
  ASSERT_FALSE(group.join_files().empty());
  const std::string file = group.join_files().front();
  EXPECT_TRUE(must(exists(file)));
  must(group.remove());
  EXPECT_FALSE(must(exists(file)));
  EXPECT_TRUE(group.join_files().empty());
}

TEST_F(StepCgroupTest, ALimitThatCannotBeSetIsAnErrorWithAHint) {
  StepCgroup::Limits limits;
  limits.resources.cpuset_cpus = "100000";
  const auto group = StepCgroup::create(hierarchies_, name_, limits);
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().code(), Code::kFailedPrecondition);
  EXPECT_FALSE(group.error().advice().empty());
}

TEST_F(StepCgroupTest, WithoutCgroupsOnlyWhatWasAskedForFails) {
  StepCgroup::Limits limits;
  limits.pids = 100;
  const StepCgroup group = must(StepCgroup::create({}, name_, limits));
  EXPECT_TRUE(group.join_files().empty());
  EXPECT_EQ(group.devices(), DeviceAccess::kUnconfined);
  limits.resources.memory_bytes = 1 << 20;
  EXPECT_EQ(fake::code_of(StepCgroup::create({}, name_, limits)), "failed_precondition");
}

TEST_F(StepCgroupTest, WhatAKilledKilnLeftIsSwept) {
  StepCgroup::Limits limits;
  limits.pids = 100;
  StepCgroup group = must(StepCgroup::create(hierarchies_, name_, limits));
  const std::string file = group.join_files().front();
  sweep_cgroups(hierarchies_, name_.substr(0, name_.size() - 1));
  EXPECT_FALSE(must(exists(file)));
}

}  // namespace
}  // namespace kiln
