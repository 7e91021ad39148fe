#include "snapshotter/layer_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "tests/fakes/layer_text.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::layer_names;
using fake::must;
using fake::TreeMaker;
using testing::ElementsAre;

class LayerDiffTest : public testing::Test {
 protected:
  void settle() {
    lower_.settle();
    upper_.settle();
  }
  std::string overlay() {
    const Root lower = must(Root::open(lower_.path("")));
    const Root upper = must(Root::open(upper_.path("")));
    StringSink tar;
    must(write_overlay_diff({&lower, &upper}, tar, {}));
    return tar.take();
  }
  std::string tree() {
    const Root lower = must(Root::open(lower_.path("")));
    const Root upper = must(Root::open(upper_.path("")));
    StringSink tar;
    must(write_tree_diff(&lower, upper, tar, {}));
    return tar.take();
  }
  void opaque(std::string_view path) { upper_.xattr(path, "trusted.overlay.opaque", "y"); }

  TempDir lower_dir_ = must(TempDir::create("/tmp", "lower-"));
  TempDir upper_dir_ = must(TempDir::create("/tmp", "upper-"));
  TreeMaker lower_{lower_dir_.path()};
  TreeMaker upper_{upper_dir_.path()};
};

TEST_F(LayerDiffTest, NothingChangedIsAnEmptyTar) {
  EXPECT_EQ(overlay(), std::string(1024, '\0'));
  EXPECT_EQ(tree(), std::string(1024, '\0'));
}

TEST_F(LayerDiffTest, OverlayWritesParentsOfChangedEntriesAndSortsEachDirectory) {
  lower_.dir("usr/bin", 0711);
  upper_.dir("usr/bin", 0711).file("usr/bin/tool").file("b").file("a.b").dir("a").file("a/x");
  settle();
  EXPECT_THAT(layer_names(overlay()),
              ElementsAre("a/", "a/x", "a.b", "b", "usr/", "usr/bin/", "usr/bin/tool"));
  EXPECT_EQ(fake::layer_entries(overlay())[5].mode, 0711U);
}

TEST_F(LayerDiffTest, OverlayLeavesOutDirectoriesThatWereOnlyCopiedUp) {
  lower_.dir("same").dir("touched").dir("chmod");
  upper_.dir("same").dir("touched").dir("chmod", 0700);
  settle();
  upper_.mtime("touched", 5);
  EXPECT_THAT(layer_names(overlay()), ElementsAre("chmod/", "touched/"));
}

TEST_F(LayerDiffTest, OverlayNanosecondsCountOnlyWhereBothHaveThem) {
  lower_.dir("unpacked").dir("made");
  upper_.dir("unpacked").dir("made");
  settle();
  lower_.mtime("made", 50, 1);
  upper_.mtime("made", 50, 2).mtime("unpacked", 1'000'000'000, 3);
  EXPECT_THAT(layer_names(overlay()), ElementsAre("made/"));
}

TEST_F(LayerDiffTest, OverlayWhiteoutsAreEmptyFilesWithoutOwnerModeAndTime) {
  lower_.file("d/gone");
  upper_.dir("d").whiteout("d/gone").whiteout("d/never-was");
  settle();
  const auto entries = fake::layer_entries(overlay());
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].path.str(), "d/.wh.gone");
  EXPECT_EQ(entries[1].type, oci::EntryType::kFile);
  EXPECT_EQ(entries[1].mode, 0U);
  EXPECT_EQ(entries[1].mtime, 0);
  EXPECT_EQ(entries[1].size, 0U);
}

TEST_F(LayerDiffTest, OverlayExpandsOpaqueDirectoriesIntoDeletes) {
  lower_.file("d/a").file("d/b").file("d/sub/x").file("d/sub/y").file("d/tree/z");
  upper_.file("d/b", "new").file("d/sub/y").file("d/c");
  settle();
  opaque("d");
  EXPECT_THAT(layer_names(overlay()), ElementsAre("d/", "d/.wh.a", "d/b", "d/c", "d/sub/",
                                                  "d/sub/.wh.x", "d/sub/y", "d/.wh.tree"));
}

TEST_F(LayerDiffTest, OverlayTakesAFileOverADirectoryAndBackAsIs) {
  lower_.file("was-dir/x").file("was-file");
  upper_.file("was-dir").file("was-file/x");
  settle();
  opaque("was-file");
  EXPECT_THAT(layer_names(overlay()), ElementsAre("was-dir", "was-file/", "was-file/x"));
}

TEST_F(LayerDiffTest, OverlayKeepsHardlinksAsLinksToTheFirstPath) {
  upper_.file("z/one", "data").hardlink("a", "z/one").hardlink("z/two", "a");
  upper_.symlink("s", "a").hardlink("t", "s");
  settle();
  EXPECT_THAT(layer_names(overlay()),
              ElementsAre("a", "s -> a", "t = s", "z/", "z/one = a", "z/two = a"));
}

TEST_F(LayerDiffTest, BothSkipSocketsButDeleteWhatTheyReplaced) {
  lower_.file("was-file");
  for (const TreeMaker* tree : {&upper_}) {
    for (const char* name : {"fresh", "was-file"}) tree->node(name, S_IFSOCK | 0600);
  }
  settle();
  EXPECT_THAT(layer_names(overlay()), ElementsAre(".wh.was-file"));
  EXPECT_THAT(layer_names(tree()), ElementsAre(".wh.was-file"));
}

TEST_F(LayerDiffTest, BothKeepCapabilitiesAndNoOtherXattrs) {
  upper_.file("ping").xattr("ping", "security.capability", fake::net_bind_capability());
  upper_.xattr("ping", "user.note", "local");
  settle();
  for (const std::string& tar : {overlay(), tree()}) {
    const auto entries = fake::layer_entries(tar);
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_THAT(entries[0].xattrs, ElementsAre(std::pair<const std::string, std::string>(
                                       "security.capability", fake::net_bind_capability())));
  }
}

TEST_F(LayerDiffTest, BothRefuseNamesThatMeanWhiteouts) {
  upper_.file("d/.wh.x");
  const Root upper = must(Root::open(upper_.path("")));
  StringSink tar;
  EXPECT_EQ(code_of(write_overlay_diff({nullptr, &upper}, tar, {})), "invalid_argument");
  EXPECT_EQ(code_of(write_tree_diff(nullptr, upper, tar, {})), "invalid_argument");
}

TEST_F(LayerDiffTest, BothDropFractionsOfSecondsAndKeepTimesBefore1970) {
  upper_.file("old").mtime("old", -5, 999'999'999).file("new").mtime("new", 10'000'000'000, 1);
  for (const std::string& tar : {overlay(), tree()}) {
    const auto entries = fake::layer_entries(tar);
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0].mtime, 10'000'000'000);
    EXPECT_EQ(entries[0].mtime_ns, 0U);
    EXPECT_EQ(entries[1].mtime, -5);
    EXPECT_EQ(entries[1].mtime_ns, 0U);
  }
}

TEST_F(LayerDiffTest, TreeFindsEveryKindOfChange) {
  lower_.file("same", "x").file("bytes", "abc").file("mode").file("size", "1").file("gone/x");
  lower_.symlink("link", "a").node("dev", S_IFCHR | 0600, makedev(1, 3)).dir("dir").file("own");
  upper_.file("same", "x").file("bytes", "abd").file("mode", "", 0600).file("size", "12");
  upper_.symlink("link", "b").node("dev", S_IFCHR | 0600, makedev(1, 5)).dir("dir", 0700);
  upper_.file("own").owner("own", 1, 1).file("new/x");
  settle();
  EXPECT_THAT(layer_names(tree()), ElementsAre("bytes", "dev", "dir/", ".wh.gone", "link -> b",
                                               "mode", "new/", "new/x", "own", "size"));
}

TEST_F(LayerDiffTest, TreeReplacesDirectoriesByFilesAndBack) {
  lower_.file("was-dir/x").file("was-file");
  upper_.file("was-dir").file("was-file/x");
  settle();
  EXPECT_THAT(layer_names(tree()), ElementsAre("was-dir", "was-file/", "was-file/x"));
}

TEST_F(LayerDiffTest, TreePullsInTheWholeGroupWhenANameIsAdded) {
  lower_.file("b", "data").hardlink("c", "b").file("other");
  upper_.file("b", "data").hardlink("c", "b").hardlink("a", "b").file("other");
  settle();
  EXPECT_THAT(layer_names(tree()), ElementsAre("a", "b = a", "c = a"));
}

TEST_F(LayerDiffTest, TreeLeavesOutGroupsThatAreTheSame) {
  lower_.file("b", "data").hardlink("c", "b");
  upper_.file("b", "data").hardlink("c", "b");
  settle();
  EXPECT_THAT(layer_names(tree()), ElementsAre());
}

TEST_F(LayerDiffTest, TreeSeesFilesThatWereJoinedOrTornApart) {
  lower_.file("a", "x").file("b", "x").file("m", "y").hardlink("n", "m");
  upper_.file("a", "x").hardlink("b", "a").file("m", "y").file("n", "y");
  settle();
  EXPECT_THAT(layer_names(tree()), ElementsAre("a", "b = a", "n"));
}

TEST_F(LayerDiffTest, OrderAndBytesDoNotDependOnThreads) {
  for (int i = 0; i < 700; ++i)
    upper_.file("d" + std::to_string(i % 9) + "/f" + std::to_string(i),
                std::string(static_cast<size_t>(i) * 37, 'a'));
  upper_.file("large", std::string(700'000, 'z'));
  settle();
  const std::string first = overlay();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Digest::of(overlay()), Digest::of(first));
  EXPECT_EQ(Digest::of(tree()), Digest::of(first));
}

// A sink that stops taking bytes.
class FailingSink : public Sink {
 public:
  Status write(std::span<const std::byte> data) override {
    taken_ += data.size();
    if (taken_ < 20'000) return {};
    return fail(Code::kResourceExhausted, "disk full");
  }

 private:
  size_t taken_ = 0;
};

TEST_F(LayerDiffTest, ErrorOfTheSinkIsPassedOnWhileFilesAreReadAhead) {
  for (int i = 0; i < 3000; ++i) upper_.file("f" + std::to_string(i), "some bytes");
  const Root upper = must(Root::open(upper_.path("")));
  FailingSink sink;
  EXPECT_EQ(code_of(write_overlay_diff({nullptr, &upper}, sink, {})), "resource_exhausted");
}

}  // namespace
}  // namespace kiln
