// What every Snapshotter promises: restacking, removal, leases, crashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "tests/contract/snapshotter_under_test.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::LayerMaker;
using fake::must;
using fake::TreeMaker;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class SnapshotterRemoval : public SnapshotterContract {
 protected:
  SnapshotId file(const std::optional<SnapshotId>& parent, const std::string& name) {
    return root().make(parent, [&](const TreeMaker& tree) { tree.file(name, name); });
  }
  // Directories of published snapshots.
  std::vector<std::string> directories() {
    std::vector<std::string> found;
    for (const DirEntry& entry : must(list_dir(must(Root::open(root().directory())).fd()))) {
      if (std::isdigit(static_cast<unsigned char>(entry.name[0])) != 0) found.push_back(entry.name);
    }
    return found;
  }
  void new_lease() {
    root().end_lease();
    root().lease = must(root().leases->acquire());
  }
};

TEST_P(SnapshotterRemoval, RestacksALayerOnAnotherParent) {
  const SnapshotId base = file(std::nullopt, "base");
  const SnapshotId layer = file(std::nullopt, "layer");
  const SnapshotId merged = must(snapshots().restack(base, layer, *root().lease));
  EXPECT_EQ(root().names(merged), "base layer");
  EXPECT_THAT(must(snapshots().chain(merged)), ElementsAre(base, merged));
  EXPECT_EQ(must(snapshots().restack(base, layer, *root().lease)), merged);
  EXPECT_EQ(root().blob(merged), root().blob(layer));
}

TEST_P(SnapshotterRemoval, RestackedDeletionsActOnTheOtherParent) {
  const SnapshotId one = root().make(
      std::nullopt, [](const TreeMaker& tree) { tree.file("d/x").file("gone").settle(); });
  const SnapshotId layer = root().make(
      one, [](const TreeMaker& tree) { tree.remove("gone").remove("d").file("d/new").settle(); });
  const SnapshotId two = root().make(std::nullopt, [](const TreeMaker& tree) {
    tree.file("d/x").file("d/other").file("gone").file("more").settle();
  });
  // The layer deletes what it found on its own parent: d/x, and not the d/other that it never saw.
  const SnapshotId merged = must(snapshots().restack(two, layer, *root().lease));
  EXPECT_EQ(root().names(merged), "d d/new d/other more");
  EXPECT_EQ(root().blob(merged), root().blob(layer));
}

TEST_P(SnapshotterRemoval, ARestackedLayerAtTheBottomShowsNoWhiteouts) {
  const SnapshotId base = file(std::nullopt, "gone");
  const SnapshotId layer =
      root().make(base, [](const TreeMaker& tree) { tree.remove("gone").file("new").settle(); });
  EXPECT_EQ(root().names(must(snapshots().restack(std::nullopt, layer, *root().lease))), "new");
}

TEST_P(SnapshotterRemoval, RestacksLazyLayers) {
  const SnapshotId base = file(std::nullopt, "base");
  const SnapshotId lazy = root().add(base, std::move(LayerMaker().file("f").file(".wh.base")));
  const SnapshotId other = file(std::nullopt, "other");
  const SnapshotId merged = must(snapshots().restack(other, lazy, *root().lease));
  EXPECT_FALSE(must(snapshots().facts(merged)).has_directory);
  EXPECT_EQ(root().names(merged), "f other");
  EXPECT_EQ(root().names(lazy), "f");
}

TEST_P(SnapshotterRemoval, RemovesWhatNobodyKeepsAndSaysHowMuch) {
  const SnapshotId kept_base = file(std::nullopt, "base");
  const SnapshotId kept = file(kept_base, "kept");
  file(kept_base, "victim");
  new_lease();
  EXPECT_GT(must(snapshots().remove_unreferenced({kept})), 0U);
  EXPECT_THAT(must(snapshots().list()), UnorderedElementsAre(kept_base, kept));
  EXPECT_EQ(directories().size(), 2U);
  EXPECT_EQ(root().names(kept), "base kept");
}

TEST_P(SnapshotterRemoval, KeepsTheOriginOfARestackedLayer) {
  const SnapshotId origin_base = file(std::nullopt, "origin-base");
  const SnapshotId origin = file(origin_base, "layer");
  const SnapshotId base = file(std::nullopt, "base");
  const SnapshotId merged = must(snapshots().restack(base, origin, *root().lease));
  new_lease();
  must(snapshots().remove_unreferenced({merged}));
  EXPECT_EQ(root().names(merged), "base layer");
  EXPECT_EQ(must(snapshots().list()).size(), 4U);
  new_lease();
  must(snapshots().remove_unreferenced({}));
  EXPECT_THAT(must(snapshots().list()), IsEmpty());
  EXPECT_THAT(directories(), IsEmpty());
}

TEST_P(SnapshotterRemoval, ALiveLeaseKeepsWhatItMadeAndWhatItTouched) {
  const SnapshotId touched = file(std::nullopt, "touched");
  const SnapshotId forgotten = file(std::nullopt, "forgotten");
  new_lease();
  EXPECT_TRUE(must(snapshots().touch(touched, *root().lease)));
  const SnapshotId made = file(std::nullopt, "made");
  must(snapshots().remove_unreferenced({}));
  EXPECT_THAT(must(snapshots().list()), UnorderedElementsAre(touched, made));
  EXPECT_FALSE(must(snapshots().touch(forgotten, *root().lease)));
}

TEST_P(SnapshotterRemoval, AViewAndAnActiveSnapshotKeepWhatTheyStandOn) {
  const SnapshotId viewed = file(std::nullopt, "viewed");
  const SnapshotId parent = file(std::nullopt, "parent");
  auto view = must(snapshots().view(viewed, {}));
  auto active = must(snapshots().prepare(parent, *root().lease, {}));
  new_lease();
  must(snapshots().remove_unreferenced({}));
  EXPECT_THAT(must(snapshots().list()), UnorderedElementsAre(viewed, parent));
  view.reset();
  active.reset();
  must(snapshots().remove_unreferenced({}));
  EXPECT_THAT(must(snapshots().list()), IsEmpty());
}

TEST_P(SnapshotterRemoval, BuildsAndPruningAtOnceLoseNothing) {
  const auto pruner = root().another();
  const std::jthread pruning([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) EXPECT_EQ(code_of(pruner->remove_unreferenced({})), "ok");
  });
  for (int i = 0; i < 15; ++i) {
    new_lease();
    const SnapshotId base =
        root().add(std::nullopt, std::move(LayerMaker().file("base" + std::to_string(i))));
    const SnapshotId child = file(base, "child");
    EXPECT_EQ(root().names(child), "base" + std::to_string(i) + " child");
  }
}

TEST_P(SnapshotterRemoval, SyncedSnapshotsSurviveAPowerCutAndOthersAreDropped) {
  const SnapshotId synced = file(std::nullopt, "synced");
  must(snapshots().sync());
  const SnapshotId lost = file(synced, "lost");
  const SnapshotId child = file(lost, "child");
  root().power_cut();
  EXPECT_THAT(must(snapshots().list()), ElementsAre(synced));
  EXPECT_EQ(root().names(synced), "synced");
  EXPECT_FALSE(must(snapshots().touch(child, *root().lease)));
  EXPECT_EQ(directories().size(), 1U);
}

TEST_P(SnapshotterRemoval, AfterAPowerCutPackedSnapshotsAreUnpackedAnew) {
  const SnapshotId id = file(std::nullopt, "f");
  root().blob(id);
  root().power_cut();
  EXPECT_FALSE(must(snapshots().facts(id)).has_directory);
  EXPECT_EQ(root().names(id), "f");
}

TEST_P(SnapshotterRemoval, SweepsWhatAKilledProcessLeft) {
  const SnapshotId id = file(std::nullopt, "f");
  const TreeMaker left(root().directory() + "/new/pKILLED");
  left.file("lock").file("1/fs/half").file("1/work/x");
  root().open();
  root().open();  // closing waits for the sweep
  EXPECT_FALSE(must(exists(left.path(""))));
  EXPECT_EQ(must(list_dir(must(Root::open(root().directory() + "/new")).fd())).size(), 1U);
  EXPECT_EQ(root().names(id), "f");
}

TEST_P(SnapshotterRemoval, LeavesTheWorkOfLiveProcessesAlone) {
  const auto active = must(snapshots().prepare(std::nullopt, *root().lease, {}));
  const auto other = root().another();
  EXPECT_TRUE(must(exists(active->mounts().front().source)));
}

TEST_P(SnapshotterRemoval, ADirectoryWithoutARowIsReplacedAndRemoved) {
  const SnapshotId first = file(std::nullopt, "first");
  // A process died between rename and commit; another directory was left by a removal.
  const TreeMaker snapshots_directory(root().directory());
  snapshots_directory.file(std::to_string(std::stoi(first.value) + 1) + "/fs/torn").file("99/fs/x");
  const SnapshotId second = file(std::nullopt, "second");
  EXPECT_EQ(root().names(second), "second");
  must(snapshots().remove_unreferenced({first, second}));
  EXPECT_THAT(directories(), ElementsAre(first.value, second.value));
}

TEST_P(SnapshotterRemoval, ARootKeepsTheKindItWasMadeWith) {
  const bool is_copy = std::string_view(GetParam()) == "copy";
  EXPECT_EQ(snapshots().kind(), is_copy ? "copy" : "overlay");
  EXPECT_EQ(must(make_snapshotter(root().config(), "auto"))->kind(), snapshots().kind());
  const char* other = is_copy ? "overlay" : "copy";
  EXPECT_EQ(code_of(make_snapshotter(root().config(), other)), "failed_precondition");
  EXPECT_EQ(code_of(make_snapshotter(root().config(), "btrfs")), "invalid_argument");
}

INSTANTIATE_TEST_SUITE_P(Kinds, SnapshotterRemoval,
                         testing::Values("overlay", "copy", "overlay-userxattr"),
                         [](const auto& kind) {
                           const std::string name = kind.param;
                           return name == "overlay-userxattr" ? "userxattr" : name;
                         });

}  // namespace
}  // namespace kiln
