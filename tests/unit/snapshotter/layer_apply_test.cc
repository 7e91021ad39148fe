#include "snapshotter/layer_apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "tests/fakes/layer_text.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::LayerMaker;
using fake::must;
using fake::tree_text;
using fake::TreeMaker;
using oci::EntryType;
using oci::TarEntry;

class LayerApplyTest : public testing::Test {
 protected:
  Result<uint64_t> apply(LayerMaker& layer, ApplyMode mode = ApplyMode::kMerged) {
    ApplyOptions options;
    options.mode = mode;
    return apply(layer, options);
  }
  Result<uint64_t> apply(LayerMaker& layer, const ApplyOptions& options) {
    const auto tar = fake::read_layer(layer.take());
    const Root root = must(Root::open(temp_.path()));
    return apply_layer(*tar, root, options, {});
  }
  struct stat stat_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::lstat(tree_.path(path).c_str(), &st), 0) << path;
    return st;
  }
  bool exists(const std::string& path) { return must(kiln::exists(tree_.path(path))); }
  std::string read(const std::string& path) { return must(read_file(tree_.path(path), 1000)); }
  bool is_opaque(const std::string& path) {
    char value = 0;
    return ::getxattr(tree_.path(path).c_str(), "trusted.overlay.opaque", &value, 1) == 1 &&
           value == 'y';
  }
  bool is_whiteout(const std::string& path) {
    const struct stat st = stat_of(path);
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
  }

  TempDir temp_ = must(TempDir::create("/tmp", "apply-"));
  TreeMaker tree_{temp_.path()};
};

TEST_F(LayerApplyTest, WritesEveryKindOfEntryWithItsMetadata) {
  LayerMaker layer;
  layer.dir("", 0750, 7).dir("d", 01777, 5).file("d/f", "data", 04755, 6).symlink("l", "/d/f");
  layer.hardlink("h", "d/f");
  TarEntry null;
  null.path = must(RelPath::strict("null"));
  null.type = EntryType::kCharDevice;
  null.mode = 0666;
  null.uid = 1;
  null.gid = 2;
  null.mtime = 8;
  null.dev_major = 1;
  null.dev_minor = 3;
  TarEntry pipe;
  pipe.path = must(RelPath::strict("pipe"));
  pipe.type = EntryType::kFifo;
  pipe.mode = 0600;
  pipe.uid = 70000;
  pipe.gid = 70001;
  pipe.mtime = -9;
  layer.add(null).add(pipe);
  EXPECT_EQ(must(apply(layer)), 4U);
  EXPECT_EQ(tree_text(temp_.path()),
            ". d0750 0:0 7.000000000\n"
            "d d1777 0:0 5.000000000\n"
            "d/f f4755 0:0 6.000000000 \"data\"\n"
            "h f4755 0:0 6.000000000 = d/f\n"
            "l l0777 0:0 1000.000000000 -> /d/f\n"
            "null c0666 1:2 8.000000000 1,3\n"
            "pipe p0600 70000:70001 -9.000000000\n");
}

TEST_F(LayerApplyTest, SetsCapabilitiesAfterTheOwner) {
  TarEntry entry;
  entry.path = must(RelPath::strict("ping"));
  entry.mode = 04755;
  entry.uid = 12;
  entry.xattrs = {{"security.capability", fake::net_bind_capability()},
                  {"user.note", "kept"},
                  {"security.selinux", "left out"}};
  LayerMaker layer;
  layer.add(std::move(entry), "program");
  must(apply(layer));
  EXPECT_EQ(stat_of("ping").st_mode & 07777U, 04755U);
  EXPECT_THAT(tree_text(temp_.path()), testing::HasSubstr("security.capability=\\x01"));
  EXPECT_THAT(tree_text(temp_.path()), testing::HasSubstr("user.note=kept"));
  EXPECT_LT(::getxattr(tree_.path("ping").c_str(), "security.selinux", nullptr, 0), 0);
}

TEST_F(LayerApplyTest, LastEntryOfANameWins) {
  LayerMaker layer;
  layer.file("a", "one").dir("a").file("a/b").file("a", "three");
  must(apply(layer));
  EXPECT_EQ(read("a"), "three");
}

TEST_F(LayerApplyTest, KeepsADirectoryThatIsThereAndUpdatesItsMetadata) {
  tree_.dir("d", 0700).file("d/old");
  LayerMaker layer;
  layer.dir("d", 0711, 42);
  must(apply(layer));
  EXPECT_TRUE(exists("d/old"));
  EXPECT_EQ(stat_of("d").st_mode & 07777U, 0711U);
  EXPECT_EQ(stat_of("d").st_mtim.tv_sec, 42);
}

TEST_F(LayerApplyTest, ReplacesADirectoryByAFileAndALinkByADirectory) {
  tree_.dir("d").file("d/old").dir("real").symlink("l", "real");
  LayerMaker layer;
  layer.file("d", "now a file").dir("l").file("l/x");
  must(apply(layer));
  EXPECT_EQ(read("d"), "now a file");
  EXPECT_TRUE(S_ISDIR(stat_of("l").st_mode));
  EXPECT_FALSE(exists("real/x"));
}

TEST_F(LayerApplyTest, NeverWritesThroughAFinalSymlink) {
  tree_.file("victim", "safe").symlink("l", "victim");
  LayerMaker layer;
  layer.file("l", "attack");
  must(apply(layer));
  EXPECT_EQ(read("victim"), "safe");
  EXPECT_EQ(read("l"), "attack");
}

TEST_F(LayerApplyTest, ResolvesParentLinksInsideTheRoot) {
  // Debian's /lib -> usr/lib, and one that points out of any root.
  tree_.dir("usr/lib").symlink("lib", "usr/lib").dir("etc").symlink("up", "/../../../etc");
  LayerMaker layer;
  layer.file("lib/a").file("up/b");
  must(apply(layer));
  EXPECT_TRUE(exists("usr/lib/a"));
  EXPECT_TRUE(exists("etc/b"));
}

TEST_F(LayerApplyTest, ALinkOfTheArchiveCannotLeadOutOfTheRoot) {
  const TempDir outside = must(TempDir::create("/tmp", "outside-"));
  LayerMaker layer;
  layer.symlink("out", outside.path()).file("out/pwned");
  must(apply(layer));
  EXPECT_FALSE(must(kiln::exists(outside.path() + "/pwned")));
}

TEST_F(LayerApplyTest, RestoresTheTimesOfDirectoriesThatItOnlyPassesThrough) {
  tree_.dir("d/e").settle(77);
  LayerMaker layer;
  layer.file("d/e/new");
  must(apply(layer));
  EXPECT_EQ(stat_of("d/e").st_mtim.tv_sec, 77);
  EXPECT_EQ(stat_of("").st_mtim.tv_sec, 77);
}

TEST_F(LayerApplyTest, GivesDirectoriesTheirTimesWhateverTheOrder) {
  LayerMaker layer;
  layer.file("a/b/f").dir("a/b", 0500, 11).dir("a", 0000, 12);
  must(apply(layer));
  EXPECT_EQ(stat_of("a").st_mtim.tv_sec, 12);
  EXPECT_EQ(stat_of("a").st_mode & 07777U, 0U);
  EXPECT_EQ(stat_of("a/b").st_mtim.tv_sec, 11);
}

TEST_F(LayerApplyTest, MakesParentsThatTheArchiveLeavesOut) {
  LayerMaker layer;
  layer.file("a/b/c", "", 0600, 33);
  must(apply(layer));
  EXPECT_EQ(stat_of("a").st_mode & 07777U, 0755U);
  EXPECT_EQ(stat_of("a/b").st_mtim.tv_sec, 33);
}

TEST_F(LayerApplyTest, HardlinkDoesNotFollowItsTargetAndMayReplaceWhatIsThere) {
  tree_.file("secret", "x").symlink("sym", "secret").dir("place").file("place/x");
  LayerMaker layer;
  layer.hardlink("copy", "sym").hardlink("place", "secret");
  must(apply(layer));
  EXPECT_TRUE(S_ISLNK(stat_of("copy").st_mode));
  EXPECT_EQ(stat_of("place").st_ino, stat_of("secret").st_ino);
}

TEST_F(LayerApplyTest, HardlinkToItselfIsKept) {
  tree_.file("f", "still here");
  LayerMaker layer;
  layer.hardlink("f", "f");
  must(apply(layer));
  EXPECT_EQ(read("f"), "still here");
}

TEST_F(LayerApplyTest, RefusesHardlinksToNothingAndToDirectories) {
  tree_.dir("d");
  LayerMaker nothing;
  nothing.hardlink("h", "absent");
  EXPECT_EQ(code_of(apply(nothing)), "invalid_argument");
  LayerMaker directory;
  directory.hardlink("h", "d");
  EXPECT_EQ(code_of(apply(directory)), "invalid_argument");
}

TEST_F(LayerApplyTest, OverridesOwnersWhenAsked) {
  ApplyOptions options;
  options.mode = ApplyMode::kArchive;
  options.uid = 5;
  options.gid = 6;
  LayerMaker layer;
  layer.dir("d").file("d/f").symlink("l", "d");
  must(apply(layer, options));
  for (const char* path : {"d", "d/f", "l"}) {
    EXPECT_EQ(stat_of(path).st_uid, 5U) << path;
    EXPECT_EQ(stat_of(path).st_gid, 6U) << path;
  }
}

TEST_F(LayerApplyTest, ArchivesMayHoldNamesThatMeanWhiteoutsInLayers) {
  tree_.file("a");
  LayerMaker layer;
  layer.file(".wh.a", "plain");
  must(apply(layer, ApplyMode::kArchive));
  EXPECT_TRUE(exists("a"));
  EXPECT_EQ(read(".wh.a"), "plain");
}

TEST_F(LayerApplyTest, MergedWhiteoutDeletesWhatWasBelowButNotWhatTheLayerBrings) {
  tree_.file("gone").dir("d").file("d/gone").file("kept", "old");
  LayerMaker layer;
  layer.file(".wh.gone").file("d/new").file(".wh.d").file("kept", "new").file(".wh.kept");
  layer.file(".wh.never-was");
  must(apply(layer));
  EXPECT_FALSE(exists("gone"));
  EXPECT_FALSE(exists("d/gone"));
  EXPECT_TRUE(exists("d/new"));
  EXPECT_EQ(read("kept"), "new");
}

TEST_F(LayerApplyTest, MergedOpaqueEmptiesADirectoryInAnyOrder) {
  tree_.file("d/old").file("d/sub/old");
  LayerMaker layer;
  layer.dir("d").file("d/sub/new").file("d/.wh..wh..opq").file("d/late");
  must(apply(layer));
  EXPECT_FALSE(exists("d/old"));
  EXPECT_FALSE(exists("d/sub/old"));
  EXPECT_TRUE(exists("d/sub/new"));
  EXPECT_TRUE(exists("d/late"));
}

TEST_F(LayerApplyTest, WhiteoutsOfABottomLayerHideNothing) {
  LayerMaker layer;
  layer.file("a").file(".wh.a").file(".wh.b").dir("d").file("d/f").file("d/.wh..wh..opq");
  must(apply(layer));
  EXPECT_TRUE(exists("a"));
  EXPECT_TRUE(exists("d/f"));
}

TEST_F(LayerApplyTest, UpperWhiteoutsBecomeDevicesAndOpaqueXattrs) {
  LayerMaker layer;
  layer.dir("d").file("d/.wh.gone").dir("o").file("o/.wh..wh..opq").file("o/f");
  must(apply(layer, ApplyMode::kOverlayUpper));
  EXPECT_TRUE(is_whiteout("d/gone"));
  EXPECT_TRUE(is_opaque("o"));
  EXPECT_TRUE(exists("o/f"));
  EXPECT_FALSE(is_opaque("d"));
}

TEST_F(LayerApplyTest, UpperDirectoryThatReplacesAWhiteoutIsOpaqueInEitherOrder) {
  LayerMaker layer;
  layer.file(".wh.a").dir("a").dir("b").file(".wh.b").file(".wh.c").file("c", "new");
  must(apply(layer, ApplyMode::kOverlayUpper));
  EXPECT_TRUE(is_opaque("a"));
  EXPECT_TRUE(is_opaque("b"));
  EXPECT_EQ(read("c"), "new");
}

TEST_F(LayerApplyTest, UpperRefusesWhatLeansOnLowerLayers) {
  LayerMaker implied;
  implied.file("d/f");
  EXPECT_EQ(code_of(apply(implied, ApplyMode::kOverlayUpper)), "failed_precondition");
  LayerMaker link;
  link.hardlink("h", "below");
  EXPECT_EQ(code_of(apply(link, ApplyMode::kOverlayUpper)), "failed_precondition");
  LayerMaker whiteout;
  whiteout.file("d/.wh.x");
  EXPECT_EQ(code_of(apply(whiteout, ApplyMode::kOverlayUpper)), "failed_precondition");
}

TEST_F(LayerApplyTest, SkipsTheBookkeepingOfAufs) {
  LayerMaker layer;
  layer.dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file(".wh..wh.aufs");
  must(apply(layer));
  EXPECT_EQ(must(list_dir(must(Root::open(temp_.path())).fd())).size(), 0U);
}

TEST_F(LayerApplyTest, StopsWhenAsked) {
  LayerMaker layer;
  layer.file("a");
  const auto tar = fake::read_layer(layer.take());
  const Root root = must(Root::open(temp_.path()));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of(apply_layer(*tar, root, {}, stop.get_token())), "cancelled");
  EXPECT_FALSE(exists("a"));
}

TEST_F(LayerApplyTest, TruncatedArchiveIsDataLoss) {
  LayerMaker layer;
  layer.file("big", std::string(100'000, 'x'));
  std::string tar = layer.take();
  tar.resize(50'000);
  const auto reader = fake::read_layer(std::move(tar));
  const Root root = must(Root::open(temp_.path()));
  EXPECT_EQ(code_of(apply_layer(*reader, root, {}, {})), "data_loss");
}

}  // namespace
}  // namespace kiln
