#include "solver/executor/mount_stubs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "solver/executor/rootfs_check.h"
#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::must;
using Kind = MountStubs::Kind;
using Parents = MountStubs::Parents;

class MountStubsTest : public ::testing::Test {
 protected:
  std::string text() const { return fake::tree_text(directory_.path()) + root_mtime(); }
  std::string root_mtime() const {
    struct stat st {};
    ::stat(directory_.path().c_str(), &st);
    return std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
  }
  TempDir directory_ = must(TempDir::create("/tmp", "kiln-stubs-"));
  fake::TreeMaker tree_{directory_.path()};
  Root root_ = must(Root::open(directory_.path()));
};

TEST_F(MountStubsTest, NothingStaysAndNoTimeChanges) {
  tree_.dir("etc").dir("usr").settle();
  const std::string before = text();
  MountStubs stubs(root_);
  EXPECT_EQ(must(stubs.add("/proc", Kind::kDirectory, Parents::kRemove)), "/proc");
  EXPECT_EQ(must(stubs.add("/etc/hosts", Kind::kFile, Parents::kRemove)), "/etc/hosts");
  EXPECT_EQ(must(stubs.add("/usr/a/b/c", Kind::kDirectory, Parents::kRemove)), "/usr/a/b/c");
  EXPECT_TRUE(must(exists(tree_.path("usr/a/b/c"))));
  must(stubs.remove());
  EXPECT_EQ(text(), before);
}

TEST_F(MountStubsTest, WhatIsThereIsLeftAlone) {
  tree_.dir("data").file("etc/hosts", "mine").settle();
  const std::string before = text();
  {
    MountStubs stubs(root_);
    must(stubs.add("/data", Kind::kDirectory, Parents::kRemove));
    must(stubs.add("/etc/hosts", Kind::kFile, Parents::kRemove));
  }
  EXPECT_EQ(text(), before);
}

TEST_F(MountStubsTest, AStubThatIsNoLongerEmptyIsTheSteps) {
  tree_.settle();
  MountStubs stubs(root_);
  must(stubs.add("/dir", Kind::kDirectory, Parents::kRemove));
  must(stubs.add("/file", Kind::kFile, Parents::kRemove));
  tree_.file("dir/x").file("file", "written");
  must(stubs.remove());
  EXPECT_TRUE(must(exists(tree_.path("dir/x"))));
  EXPECT_TRUE(must(exists(tree_.path("file"))));
}

TEST_F(MountStubsTest, AReplacedStubIsTheSteps) {
  MountStubs stubs(root_);
  must(stubs.add("/file", Kind::kFile, Parents::kRemove));
  tree_.file("other").remove("file");
  ASSERT_EQ(::rename(tree_.path("other").c_str(), tree_.path("file").c_str()), 0);
  must(stubs.remove());
  EXPECT_TRUE(must(exists(tree_.path("file"))));
}

TEST_F(MountStubsTest, ParentsMayStayAsInOldBuildKit) {
  MountStubs stubs(root_);
  must(stubs.add("/run/secrets/key", Kind::kFile, Parents::kKeep));
  must(stubs.remove());
  EXPECT_TRUE(must(exists(tree_.path("run/secrets"))));
  EXPECT_FALSE(must(exists(tree_.path("run/secrets/key"))));
}

TEST_F(MountStubsTest, AParentTouchedByTheStepKeepsTheStepsTime) {
  tree_.dir("etc").settle();
  MountStubs stubs(root_);
  must(stubs.add("/etc/hosts", Kind::kFile, Parents::kRemove));
  tree_.file("etc/made-by-step").mtime("etc", 2'000'000'000, 5);
  must(stubs.remove());
  struct stat st {};
  ASSERT_EQ(::stat(tree_.path("etc").c_str(), &st), 0);
  EXPECT_EQ(st.st_mtim.tv_sec, 2'000'000'000);
  EXPECT_EQ(st.st_mtim.tv_nsec, 5);
}

TEST_F(MountStubsTest, LinksOfTheImageResolveInside) {
  tree_.symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
      .symlink("var", "/tmp");
  tree_.settle();
  const std::string before = text();
  MountStubs stubs(root_);
  EXPECT_EQ(must(stubs.add("/etc/resolv.conf", Kind::kFile, Parents::kRemove)),
            "/run/systemd/resolve/stub-resolv.conf");
  EXPECT_EQ(must(stubs.add("/var/cache", Kind::kDirectory, Parents::kRemove)), "/tmp/cache");
  EXPECT_FALSE(must(exists("/tmp/cache")));
  must(stubs.remove());
  EXPECT_EQ(text(), before);
}

TEST_F(MountStubsTest, AFileInTheWayIsAnError) {
  tree_.file("etc", "a file");
  MountStubs stubs(root_);
  EXPECT_EQ(fake::code_of(stubs.add("/etc/hosts", Kind::kFile, Parents::kRemove)),
            "invalid_argument");
}

TEST_F(MountStubsTest, ALinkThatTurnsInCirclesIsAnError) {
  tree_.symlink("a", "b").symlink("b", "a");
  MountStubs stubs(root_);
  EXPECT_EQ(fake::code_of(stubs.add("/a/x", Kind::kFile, Parents::kRemove)), "invalid_argument");
}

class RootfsCheckTest : public MountStubsTest {
 protected:
  Result<std::string> prepare(const std::string& cwd, std::vector<std::string> mounts = {}) {
    User user;
    user.uid = 1000;
    user.gid = 50;
    return prepare_working_directory(root_, cwd, user, mounts);
  }
};

TEST_F(RootfsCheckTest, SystemDirectoriesMustBeDirectories) {
  must(check_system_directories(root_));
  tree_.dir("proc").dir("dev").dir("sys");
  must(check_system_directories(root_));
  for (const char* name : {"proc", "dev", "sys"}) {
    tree_.remove(name).symlink(name, "/etc");
    EXPECT_EQ(fake::code_of(check_system_directories(root_)), "invalid_argument") << name;
    tree_.remove(name).file(name);
    EXPECT_EQ(fake::code_of(check_system_directories(root_)), "invalid_argument") << name;
    tree_.remove(name).dir(name);
  }
}

TEST_F(RootfsCheckTest, AMissingWorkingDirectoryIsMadeForTheUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "changing owners takes root";
  tree_.dir("srv");
  EXPECT_EQ(must(prepare("/srv/app/x")), "/srv/app/x");
  struct stat st {};
  ASSERT_EQ(::stat(tree_.path("srv/app").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 1000U);
  EXPECT_EQ(st.st_gid, 50U);
  EXPECT_EQ(st.st_mode & 07777U, 0755U);
  ASSERT_EQ(::stat(tree_.path("srv").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 0U) << "what was there keeps its owner";
}

TEST_F(RootfsCheckTest, AWorkingDirectoryThatLeadsOutIsRefused) {
  tree_.symlink("leak", "/proc/self/fd/7").file("file").symlink("up", "../../../../etc");
  for (const char* cwd : {"/proc/self/fd/8", "/proc", "/leak", "/file", "/file/x", "relative"})
    EXPECT_EQ(fake::code_of(prepare(cwd)), "invalid_argument") << cwd;
  EXPECT_EQ(must(prepare("/up")), "/etc") << "inside";
  EXPECT_TRUE(must(exists(tree_.path("etc"))));
}

TEST_F(RootfsCheckTest, BelowAMountTheRuntimeMakesIt) {
  EXPECT_EQ(must(prepare("/cache/x", {"/cache"})), "/cache/x");
  EXPECT_EQ(must(prepare("/dev/shm")), "/dev/shm");
  EXPECT_FALSE(must(exists(tree_.path("cache"))));
}

}  // namespace
}  // namespace kiln
