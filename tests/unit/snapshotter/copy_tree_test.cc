#include "snapshotter/copy_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::must;
using fake::TreeMaker;

class CopyTreeTest : public testing::Test {
 protected:
  TempDir from_ = must(TempDir::create("/tmp", "from-"));
  TempDir to_ = must(TempDir::create("/tmp", "to-"));
  TreeMaker tree_{from_.path()};

  Status copy(std::stop_token stop = {}) {
    return copy_tree(must(Root::open(from_.path())), must(Root::open(to_.path())), stop);
  }
};

TEST_F(CopyTreeTest, KeepsEverything) {
  tree_.dir("d", 02750).file("d/f", "data", 04711).owner("d", 3, 4).symlink("l", "d/f");
  tree_.hardlink("h", "d/f").hardlink("m", "l").node("pipe", S_IFIFO | 0620);
  tree_.node("sock", S_IFSOCK | 0640);
  tree_.node("null", S_IFCHR | 0666, makedev(1, 3)).file("caps").file("secret", "s", 0);
  tree_.xattr("caps", "security.capability", fake::net_bind_capability());
  tree_.xattr("d", "user.note", "kept").settle(-5).mtime("d/f", 12, 345).mtime("", 9, 8);
  must(copy());
  EXPECT_EQ(fake::tree_text(to_.path()), fake::tree_text(from_.path()));
}

TEST_F(CopyTreeTest, LeavesOutWhatOverlayfsWroteForItself) {
  tree_.dir("d").xattr("d", "trusted.overlay.opaque", "y");
  must(copy());
  EXPECT_LT(::getxattr((to_.path() + "/d").c_str(), "trusted.overlay.opaque", nullptr, 0), 0);
}

TEST_F(CopyTreeTest, StopsWhenAsked) {
  tree_.file("f");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(fake::code_of(copy(stop.get_token())), "cancelled");
}

}  // namespace
}  // namespace kiln
