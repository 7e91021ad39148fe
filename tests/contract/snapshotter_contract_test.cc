// What every Snapshotter promises (snapshotter/snapshotter.h): life, trees and layers of snapshots.
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

const auto* const kEnvironment = [] {
  struct MountEnvironment : testing::Environment {
    void SetUp() override { (void)enter_private_mount_namespace(); }  // tests skip without it
  };
  return testing::AddGlobalTestEnvironment(new MountEnvironment);
}();

void fill_base(const TreeMaker& tree) {
  tree.file("a", "1").file("d/x", "2").file("d/y", "3").dir("empty").symlink("lib", "usr/lib");
  tree.file("usr/lib/so", "so").hardlink("usr/lib/so.1", "usr/lib/so").settle();
}

TEST_P(SnapshotterContract, ANewSnapshotIsAnEmptyTreeWithADefaultRoot) {
  const SnapshotId id = root().make(std::nullopt, [](const TreeMaker&) {});
  EXPECT_EQ(root().text(id), "");
  EXPECT_EQ(root().root_text(id), ". d0755 0:0 0.000000000");
}

TEST_P(SnapshotterContract, AChildStandsOnItsParentAndLeavesItAlone) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const std::string before = root().text(base);
  const SnapshotId child = root().make(base, [](const TreeMaker& tree) {
    tree.file("a", "changed").remove("d/x").remove("empty").file("d/z").file("empty", "file");
  });
  EXPECT_EQ(root().names(child), "a d d/y d/z empty lib usr usr/lib usr/lib/so usr/lib/so.1");
  EXPECT_EQ(root().text(base), before);
}

TEST_P(SnapshotterContract, ADirectoryMadeAnewHidesWhatTheOldOneHeld) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const SnapshotId child =
      root().make(base, [](const TreeMaker& tree) { tree.remove("d").file("d/new"); });
  EXPECT_EQ(root().names(child), "a d d/new empty lib usr usr/lib usr/lib/so usr/lib/so.1");
  EXPECT_THAT(fake::layer_names(root().tar(child)),
              ElementsAre("d/", "d/new", "d/.wh.x", "d/.wh.y"));
}

TEST_P(SnapshotterContract, MetadataOfTheRootIsNotRecorded) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const SnapshotId child = root().make(base, [](const TreeMaker& tree) {
    tree.file("new").dir("", 0700).owner("", 5, 5).mtime("", 77);
  });
  EXPECT_EQ(root().root_text(child), root().root_text(base));
}

TEST_P(SnapshotterContract, AnUncommittedSnapshotLeavesNothing) {
  const auto count = [&] {
    size_t entries = 0;
    const auto area = must(Root::open(root().directory() + "/new"));
    for (const DirEntry& entry : must(list_dir(area.fd())))
      entries += must(list_dir(must(area.sub_root(must(RelPath::strict(entry.name)))).fd())).size();
    return entries;
  };
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const size_t before = count();
  {
    const auto active = must(snapshots().prepare(base, *root().lease, {}));
    EXPECT_GT(count(), before);
  }
  EXPECT_EQ(count(), before);
  EXPECT_THAT(must(snapshots().list()), ElementsAre(base));
}

TEST_P(SnapshotterContract, CommitsOnlyOnce) {
  const auto active = must(snapshots().prepare(std::nullopt, *root().lease, {}));
  must(active->commit());
  EXPECT_EQ(code_of(active->commit()), "failed_precondition");
}

TEST_P(SnapshotterContract, UnknownSnapshotsAreNotFound) {
  for (const char* id : {"77", "", "x", "../1"}) {
    EXPECT_EQ(code_of(snapshots().prepare(SnapshotId{id}, *root().lease, {})), "not_found") << id;
    EXPECT_EQ(code_of(snapshots().view({id}, {})), "not_found") << id;
    EXPECT_EQ(code_of(snapshots().facts({id})), "not_found") << id;
    EXPECT_EQ(code_of(snapshots().chain({id})), "not_found") << id;
    EXPECT_FALSE(must(snapshots().touch({id}, *root().lease))) << id;
  }
}

TEST_P(SnapshotterContract, TellsFactsAndChain) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const SnapshotId child =
      root().make(base, [](const TreeMaker& tree) { tree.file("big", std::string(100'000, 'x')); });
  EXPECT_THAT(must(snapshots().chain(child)), ElementsAre(base, child));
  const SnapshotFacts facts = must(snapshots().facts(child));
  EXPECT_EQ(facts.parent, base);
  EXPECT_TRUE(facts.has_directory);
  EXPECT_THAT(facts.blobs, IsEmpty());
  EXPECT_GE(facts.size_bytes, 100'000U);
  EXPECT_EQ(must(snapshots().facts(base)).parent, std::nullopt);
}

TEST_P(SnapshotterContract, ManyLayersAreOneTree) {
  std::optional<SnapshotId> top;
  for (int i = 0; i < 130; ++i) {
    LayerMaker layer;
    layer.file("f" + std::to_string(i), "x").file("last", std::to_string(i));
    if (i > 0) layer.file(".wh.f" + std::to_string(i - 1));
    top = root().add(top, std::move(layer));
  }
  EXPECT_EQ(root().names(*top), "f129 last");
}

TEST_P(SnapshotterContract, PacksChangesOnceAndRemembersThem) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const SnapshotId child = root().make(base, [](const TreeMaker& tree) { tree.file("d/n"); });
  const auto first = root().blob(child);
  const int writers = root().content->writers;
  EXPECT_EQ(root().blob(child), first);
  EXPECT_EQ(root().content->writers, writers);
  EXPECT_THAT(must(snapshots().facts(child)).blobs, ElementsAre(first));
  EXPECT_THAT(fake::layer_names(root().tar(child)), ElementsAre("d/", "d/n"));
}

TEST_P(SnapshotterContract, OtherCompressionsOfALayerHaveTheSameDiffId) {
  const SnapshotId id = root().make(std::nullopt, fill_base);
  const auto plain = root().blob(id);
  const auto gzip = root().blob(id, oci::Compression::kGzip);
  EXPECT_EQ(gzip.diff_id, plain.diff_id);
  EXPECT_EQ(gzip.descriptor.media_type, oci::media_type::kLayerGzip);
  EXPECT_NE(gzip.descriptor.digest, plain.descriptor.digest);
  EXPECT_EQ(root().blob(id), plain);
}

TEST_P(SnapshotterContract, ConcurrentPackersPackOnce) {
  const SnapshotId id = root().make(std::nullopt, fill_base);
  const auto other = root().another();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Snapshotter& packer = i % 2 == 0 ? snapshots() : *other;
      EXPECT_EQ(code_of(packer.layer_blob(id, {}, *root().lease, {})), "ok");
    });
  }
  threads.clear();  // joins
  EXPECT_EQ(root().content->writers, 1);
}

TEST_P(SnapshotterContract, AStepThatChangedNothingIsAnEmptyLayer) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const SnapshotId child =
      root().make(base, [](const TreeMaker& tree) { must(read_file(tree.path("a"), 10)); });
  EXPECT_EQ(root().tar(child), std::string(1024, '\0'));
}

TEST_P(SnapshotterContract, AnAddedLayerIsUnpackedOnlyWhenSomebodyLooks) {
  LayerMaker layer;
  layer.dir("d").file("d/f", "x");
  const SnapshotId id = root().add(std::nullopt, std::move(layer));
  EXPECT_FALSE(must(snapshots().facts(id)).has_directory);
  EXPECT_EQ(must(snapshots().facts(id)).blobs.size(), 1U);
  EXPECT_EQ(root().names(id), "d d/f");
  EXPECT_TRUE(must(snapshots().facts(id)).has_directory);
}

TEST_P(SnapshotterContract, TheSameLayerOnTheSameParentIsTheSameSnapshot) {
  const auto layer = [] {
    LayerMaker made;
    made.file("f", "x");
    return made.take();
  };
  const auto blob = root().store(layer());
  const SnapshotId id = must(snapshots().add_layer(std::nullopt, blob, *root().lease));
  EXPECT_EQ(must(snapshots().add_layer(std::nullopt, blob, *root().lease)), id);
  EXPECT_NE(must(snapshots().add_layer(id, blob, *root().lease)), id);
}

TEST_P(SnapshotterContract, AMadeLayerComesBackThroughItsBlob) {
  const SnapshotId base = root().make(std::nullopt, fill_base);
  const SnapshotId child = root().make(base, [](const TreeMaker& tree) {
    tree.remove("d").file("d/new").file("a", "2", 04755).hardlink("b", "a").remove("lib");
    tree.settle();
  });
  SnapshotterUnderTest other(GetParam());
  std::optional<SnapshotId> top;
  for (const SnapshotId& id : {base, child})
    top = must(other.snapshots->add_layer(top, other.store(root().tar(id)), *other.lease));
  EXPECT_EQ(other.text(*top), root().text(child));
  must(other.database->execute("DELETE FROM snapshot_blobs"));
  EXPECT_EQ(other.blob(*top).diff_id, root().blob(child).diff_id);
}

TEST_P(SnapshotterContract, LayersThatLeanOnWhatIsBelowAreUnderstood) {
  const SnapshotId base = root().make(std::nullopt, [](const TreeMaker& tree) {
    fill_base(tree);
    tree.dir("d", 0711).owner("d", 3, 4).settle();
  });
  LayerMaker layer;
  // No parents; a parent that is a link; a hardlink and a whiteout into the layer below.
  layer.file("d/new").file("lib/plugin").hardlink("so", "usr/lib/so").file("d/.wh.x");
  const SnapshotId id = root().add(base, std::move(layer));
  const std::string text = root().text(id);
  EXPECT_THAT(text, testing::HasSubstr("d d0711 3:4 1000000000.000000000\n"));
  EXPECT_THAT(text, testing::HasSubstr("usr/lib/so f0644 0:0 1000000000.000000000 = so\n"));
  EXPECT_EQ(root().names(id),
            "a d d/new d/y empty lib so usr usr/lib usr/lib/plugin usr/lib/so usr/lib/so.1");
}

TEST_P(SnapshotterContract, ConcurrentLookersUnpackOnce) {
  LayerMaker layer;
  for (int i = 0; i < 200; ++i) layer.file("f" + std::to_string(i), "x");
  const SnapshotId id = root().add(std::nullopt, std::move(layer));
  const auto other = root().another();
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Snapshotter& looker = i % 2 == 0 ? snapshots() : *other;
      EXPECT_EQ(code_of(looker.view(id, {})), "ok");
    });
  }
  threads.clear();  // joins
  EXPECT_THAT(root().names(id), testing::HasSubstr("f199"));
}

TEST_P(SnapshotterContract, ADamagedBlobIsNeverUnpackedAndItsSnapshotIsDropped) {
  LayerMaker layer;
  layer.file("f", std::string(5000, 'x'));
  const auto blob = root().store(layer.take());
  const SnapshotId id = must(snapshots().add_layer(std::nullopt, blob, *root().lease));
  const SnapshotId child = root().add(id, std::move(LayerMaker().file("g")));
  const std::string file =
      root().root.path() + "/content/blobs/sha256/" + blob.descriptor.digest.hex();
  std::string bytes = must(read_file(file, 1U << 20U));
  bytes[1000] = 'y';
  must(remove_tree(file));
  must(write_file(file, bytes));
  EXPECT_EQ(code_of(snapshots().view(child, {})), "data_loss");
  EXPECT_THAT(must(snapshots().list()), IsEmpty());
  EXPECT_FALSE(must(snapshots().touch(child, *root().lease)));
}

TEST_P(SnapshotterContract, AWrongDiffIdIsDataLoss) {
  auto blob = root().store(LayerMaker().file("f", "x").take());
  blob.diff_id = Digest::of("another");
  const SnapshotId id = must(snapshots().add_layer(std::nullopt, blob, *root().lease));
  EXPECT_EQ(code_of(snapshots().view(id, {})), "data_loss");
}

TEST_P(SnapshotterContract, AnAbsentBlobCannotBeAdded) {
  const Digest absent = Digest::of("absent");
  const oci::LayerBlob blob{{std::string(oci::media_type::kLayerTar), absent, 1, {}, {}}, absent};
  EXPECT_EQ(code_of(snapshots().add_layer(std::nullopt, blob, *root().lease)), "not_found");
}

TEST_P(SnapshotterContract, ALazySnapshotWhoseBlobIsGoneIsNotThere) {
  const auto blob = root().store(LayerMaker().file("f").take());
  const SnapshotId id = must(snapshots().add_layer(std::nullopt, blob, *root().lease));
  EXPECT_TRUE(must(snapshots().touch(id, *root().lease)));
  root().end_lease();
  must(root().content->remove_unreferenced({}, UINT64_MAX));
  root().lease = must(root().leases->acquire());
  EXPECT_FALSE(must(snapshots().touch(id, *root().lease)));
  // Fetched anew, it is there again.
  const auto again = root().store(LayerMaker().file("f").take());
  EXPECT_EQ(must(snapshots().add_layer(std::nullopt, again, *root().lease)), id);
  EXPECT_TRUE(must(snapshots().touch(id, *root().lease)));
  EXPECT_EQ(root().names(id), "f");
}

TEST_P(SnapshotterContract, StopsWhenAsked) {
  const SnapshotId id = root().add(std::nullopt, std::move(LayerMaker().file("f")));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of(snapshots().view(id, stop.get_token())), "cancelled");
  EXPECT_EQ(root().names(id), "f");
}

INSTANTIATE_TEST_SUITE_P(Kinds, SnapshotterContract,
                         testing::Values("overlay", "copy", "overlay-userxattr"),
                         [](const auto& kind) {
                           const std::string name = kind.param;
                           return name == "overlay-userxattr" ? "userxattr" : name;
                         });

}  // namespace
}  // namespace kiln
