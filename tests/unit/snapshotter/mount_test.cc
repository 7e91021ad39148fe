#include "snapshotter/mount.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "snapshotter/layer_apply.h"
#include "snapshotter/overlay_options.h"
#include "tests/fakes/layer_text.h"
#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using fake::TreeMaker;

class MountTest : public testing::Test {
 protected:
  TempDir temp_ = must(TempDir::create("/tmp", "mount-"));
  TreeMaker tree_{temp_.path()};

  void SetUp() override {
    tree_.dir("target").dir("from").file("from/f", "x");
    auto mounted = MountPoint::mount({bind("rw")}, tree_.path("target"));
    if (!mounted) GTEST_SKIP() << mounted.error().to_string();
  }
  Mount bind(const char* mode) { return {"bind", tree_.path("from"), {mode}}; }
  bool is_mounted() {
    struct stat above {};
    struct stat target {};
    return ::stat(tree_.path("target/f").c_str(), &target) == 0 &&
           ::stat(tree_.path("target").c_str(), &above) == 0;
  }
};

TEST_F(MountTest, UnmountsWhenDestroyed) {
  {
    const MountPoint mount = must(MountPoint::mount({bind("rw")}, tree_.path("target")));
    EXPECT_TRUE(is_mounted());
    EXPECT_EQ(must(must(mount.root()).read_file(must(RelPath::strict("f")), 10)), "x");
  }
  EXPECT_FALSE(is_mounted());
}

TEST_F(MountTest, ReadOnlyBindRefusesWrites) {
  const MountPoint mount = must(MountPoint::mount({bind("ro")}, tree_.path("target")));
  EXPECT_FALSE(write_file(tree_.path("target/new"), "x"));
  EXPECT_TRUE(write_file(tree_.path("from/new"), "x"));
}

TEST_F(MountTest, MovedFromMountPointsUnmountNothing) {
  MountPoint mount = must(MountPoint::mount({bind("rw")}, tree_.path("target")));
  {
    const MountPoint other = std::move(mount);
    EXPECT_TRUE(is_mounted());
  }
  EXPECT_FALSE(is_mounted());
}

TEST_F(MountTest, FailureOfASecondMountTakesTheFirstBack) {
  const Mount bad{"bind", tree_.path("absent"), {"rw"}};
  EXPECT_EQ(code_of(MountPoint::mount({bind("rw"), bad}, tree_.path("target"))), "not_found");
  EXPECT_FALSE(is_mounted());
}

TEST_F(MountTest, AFullDiskIsResourceExhausted) {
  const Mount tmpfs{"tmpfs", "tmpfs", {"size=64k"}};
  const MountPoint mount = must(MountPoint::mount({tmpfs}, tree_.path("target")));
  fake::LayerMaker layer;
  layer.file("big", std::string(200'000, 'x'));
  const auto tar = fake::read_layer(layer.take());
  EXPECT_EQ(code_of(apply_layer(*tar, must(mount.root()), {}, {})), "resource_exhausted");
}

TEST_F(MountTest, OverlayOfThreeHundredLayersFits) {
  internal::OverlayDirs dirs;
  for (int i = 0; i < 300; ++i) {
    const std::string layer = "layers/" + std::to_string(1000 + i) + "/fs";
    tree_.file(layer + "/f" + std::to_string(i), "x").file(layer + "/last", std::to_string(i));
    dirs.lowers.push_back(tree_.path(layer));
  }
  const Mount overlay{"overlay", "overlay", internal::overlay_options(dirs)};
  const MountPoint mount = must(MountPoint::mount({overlay}, tree_.path("target")));
  EXPECT_EQ(must(read_file(tree_.path("target/last"), 10)), "299");
  EXPECT_TRUE(must(exists(tree_.path("target/f0"))));
}

TEST_F(MountTest, TooManyLayersAreRefused) {
  internal::OverlayDirs dirs;
  for (int i = 0; i < 1000; ++i) dirs.lowers.push_back(tree_.path("from"));
  const Mount overlay{"overlay", "overlay", internal::overlay_options(dirs)};
  EXPECT_EQ(code_of(MountPoint::mount({overlay}, tree_.path("target"))), "resource_exhausted");
}

TEST_F(MountTest, TreeOfAReadOnlyBindIsOpenedInPlace) {
  const MountedTree tree = must(MountedTree::open({bind("ro")}, temp_.path()));
  EXPECT_EQ(tree.path(), tree_.path("from"));
}

TEST_F(MountTest, TreeOfAnOverlayIsMountedAsideAndLeavesNothing) {
  tree_.file("other/g", "y").dir("scratch");
  const Mount overlay{
      "overlay", "overlay",
      internal::overlay_options({{tree_.path("from"), tree_.path("other")}, "", ""})};
  {
    const MountedTree tree = must(MountedTree::open({overlay}, tree_.path("scratch")));
    for (const char* name : {"f", "g"})
      EXPECT_TRUE(must(tree.root().stat(must(RelPath::strict(name)), FollowLast::kNo)));
  }
  EXPECT_TRUE(must(list_dir(must(Root::open(tree_.path("scratch"))).fd())).empty());
}

}  // namespace
}  // namespace kiln
