#include "snapshotter/overlay_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::internal {
namespace {

using testing::ElementsAre;

TEST(OverlayOptionsTest, ListsTheTopLayerFirst) {
  EXPECT_THAT(overlay_options({{"/s/1", "/s/2", "/s/3"}, "/s/u", "/s/w"}),
              ElementsAre("lowerdir=/s/3:/s/2:/s/1", "upperdir=/s/u", "workdir=/s/w"));
  EXPECT_THAT(overlay_options({{"/s/1", "/s/2"}, "", ""}), ElementsAre("lowerdir=/s/2:/s/1"));
}

TEST(OverlayOptionsTest, EscapesWhatTheKernelSplitsAt) {
  EXPECT_THAT(overlay_options({{"/a:b/1", "/a,b\\/2"}, "/u:", "/w"}),
              ElementsAre("lowerdir=/a\\,b\\\\/2:/a\\:b/1", "upperdir=/u\\:", "workdir=/w"));
}

TEST(OverlayOptionsTest, MakesNamesRelativeToTheDirectoryTheyShare) {
  const auto relative = make_relative({"lowerdir=/k/s/12/fs:/k/s/1/fs", "upperdir=/k/s/new/fs",
                                       "workdir=/k/s/new/work", "volatile"});
  EXPECT_EQ(relative.directory, "/k/s/");
  EXPECT_THAT(relative.options, ElementsAre("lowerdir=12/fs:1/fs", "upperdir=new/fs",
                                            "workdir=new/work", "volatile"));
}

TEST(OverlayOptionsTest, RelativeNamesKeepTheirEscapesAndTheDirectoryLosesThem) {
  const auto relative = make_relative(overlay_options({{"/a:b/1:/fs", "/a:b/2/fs"}, "", ""}));
  EXPECT_EQ(relative.directory, "/a:b/");
  EXPECT_THAT(relative.options, ElementsAre("lowerdir=2/fs:1\\:/fs"));
}

TEST(OverlayOptionsTest, DirectoryIsNeverCutInsideAName) {
  EXPECT_EQ(make_relative({"lowerdir=/s/layer1:/s/layer2"}).directory, "/s/");
  EXPECT_EQ(make_relative({"lowerdir=/a/x:/b/y"}).directory, "/");
}

}  // namespace
}  // namespace kiln::internal
