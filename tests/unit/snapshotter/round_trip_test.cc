// Trees that went through a layer tar and back are the same trees, and give the same tar again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"
#include "tests/fakes/layer_text.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::must;
using fake::TreeMaker;

std::string deep_path() {
  std::string path = "deep";
  for (int i = 0; i < 60; ++i) path += "/directory-with-a-long-name-" + std::to_string(i);
  return path;
}

// Everything that a layer can hold.
void make_everything(const TreeMaker& tree) {
  tree.dir("bin", 0755).file("bin/su", "setuid", 04755).file("bin/ping", "caps");
  tree.xattr("bin/ping", "security.capability", fake::net_bind_capability());
  tree.dir("tmp", 01777).dir("empty", 0500).dir("setgid", 02775).owner("setgid", 0, 50);
  tree.file("big", std::string(300'000, 'b')).file("none", "").file("secret", "s", 0000);
  tree.owner("secret", 1'234'567, 4'000'000'000);
  tree.file("bin/tool", "linked").hardlink("also", "bin/tool").hardlink("z/again", "bin/tool");
  tree.symlink("sym", "bin/tool").hardlink("symlink", "sym").symlink("broken", "/no/where");
  tree.symlink("long", std::string(300, 't')).symlink("odd", "a\n\xff b");
  tree.node("null", S_IFCHR | 0666, makedev(1, 3)).node("disk", S_IFBLK | 0660, makedev(253, 70));
  tree.node("pipe", S_IFIFO | 0640).owner("pipe", 7, 8);
  tree.file("new\nline", "n").file("latin-\xe9\xff", "l").file("utf8-\xc3\xa9", "u");
  tree.file("spa ce", "").file("back\\slash", "").file(std::string(255, 'n'), "name");
  tree.file(deep_path() + "/file", "deep").file("PaxHeaders.0/x", "p").dir("wh").file("wh/wh.x");
  tree.settle();
  tree.mtime("none", -86'400).mtime("big", 1LL << 33).mtime("bin", 0).mtime("sym", 99);
}

class RoundTripTest : public testing::Test {
 protected:
  static std::string diff(const Root* lower, const Root& upper) {
    StringSink tar;
    must(write_overlay_diff({lower, &upper}, tar, {}));
    return tar.take();
  }
  static std::string tree_diff(const Root* lower, const Root& upper) {
    StringSink tar;
    must(write_tree_diff(lower, upper, tar, {}));
    return tar.take();
  }
  static void apply(const std::string& tar, const Root& root, ApplyMode mode) {
    const auto reader = fake::read_layer(tar);
    ApplyOptions options;
    options.mode = mode;
    must(apply_layer(*reader, root, options, {}));
  }

  TempDir lower_ = must(TempDir::create("/tmp", "lower-"));
  TempDir from_ = must(TempDir::create("/tmp", "from-"));
  TempDir to_ = must(TempDir::create("/tmp", "to-"));
  Root lower_root_ = must(Root::open(lower_.path()));
  Root from_root_ = must(Root::open(from_.path()));
  Root to_root_ = must(Root::open(to_.path()));
};

// The root's own metadata is not in a layer.
std::string without_root(const std::string& text) {
  return text.substr(text.find('\n') + 1);
}

TEST_F(RoundTripTest, EverythingSurvivesALayer) {
  make_everything(TreeMaker(from_.path()));
  const std::string tar = diff(nullptr, from_root_);
  apply(tar, to_root_, ApplyMode::kMerged);
  EXPECT_EQ(without_root(fake::tree_text(to_.path())), without_root(fake::tree_text(from_.path())));
  EXPECT_EQ(Digest::of(diff(nullptr, to_root_)), Digest::of(tar));
}

TEST_F(RoundTripTest, BothDiffersWriteTheSameBytesForANewTree) {
  make_everything(TreeMaker(from_.path()));
  EXPECT_EQ(Digest::of(tree_diff(nullptr, from_root_)), Digest::of(diff(nullptr, from_root_)));
}

TEST_F(RoundTripTest, AnUpperDirectorySurvivesWithWhiteoutsAndHiddenEntries) {
  const TreeMaker lower(lower_.path());
  lower.file("gone").file("d/gone").file("d/kept").file("o/hidden").file("o/both").dir("same");
  lower.file("o/dir/hidden").settle();
  const TreeMaker upper(from_.path());
  upper.whiteout("gone").dir("d").whiteout("d/gone").dir("same").dir("o").file("o/both", "new");
  upper.file("o/dir/new").xattr("o", "trusted.overlay.opaque", "y").file("added").settle();
  upper.mtime("o", 5);
  const std::string tar = diff(&lower_root_, from_root_);
  apply(tar, to_root_, ApplyMode::kOverlayUpper);
  EXPECT_EQ(fake::layer_names(diff(&lower_root_, to_root_)), fake::layer_names(tar));
  EXPECT_EQ(Digest::of(diff(&lower_root_, to_root_)), Digest::of(tar));
}

TEST_F(RoundTripTest, AMergedTreeSurvivesAsItsDifference) {
  make_everything(TreeMaker(lower_.path()));
  for (const TempDir* target : {&from_, &to_})
    apply(tree_diff(nullptr, lower_root_), must(Root::open(target->path())), ApplyMode::kMerged);
  TreeMaker changed(from_.path());
  changed.remove("bin/tool").remove("deep").file("none", "more").hardlink("z/third", "also");
  changed.remove("empty").file("empty", "now a file").settle();
  const std::string tar = tree_diff(&lower_root_, from_root_);
  apply(tar, to_root_, ApplyMode::kMerged);
  EXPECT_EQ(without_root(fake::tree_text(to_.path())), without_root(fake::tree_text(from_.path())));
  EXPECT_EQ(Digest::of(tree_diff(&lower_root_, to_root_)), Digest::of(tar));
}

}  // namespace
}  // namespace kiln
