// What every Snapshotter promises when a snapshot's directory is damaged behind its back: it is
// made again from a blob, or it is gone and the step that made it runs again. Never shown as it
// lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/snapshotter_under_test.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::LayerMaker;
using fake::must;
using fake::TreeMaker;
using testing::ElementsAre;
using testing::IsEmpty;

class SnapshotterDamage : public SnapshotterContract {
 protected:
  SnapshotId file(const std::optional<SnapshotId>& parent, const std::string& name) {
    return root().make(parent, [&](const TreeMaker& tree) { tree.file(name, name); });
  }
  std::string directory(const SnapshotId& id) { return root().directory() + "/" + id.value; }
  // Another process finds the root with what `harm` did to the directory.
  void damage(const SnapshotId& id, const std::function<void(const std::string&)>& harm) {
    harm(directory(id));
    root().open();
  }
  static void remove_it(const std::string& directory) { must(remove_tree(directory)); }
  static void empty_it(const std::string& directory) {
    const Root tree = must(Root::open(directory + "/fs"));
    for (const DirEntry& entry : must(list_dir(tree.fd())))
      must(remove_tree_at(tree.fd(), entry.name));
  }
};

TEST_P(SnapshotterDamage, AnUnpackedLayerThatIsGoneIsUnpackedAgain) {
  const SnapshotId base = root().add(std::nullopt, std::move(LayerMaker().file("f")));
  EXPECT_EQ(root().names(base), "f");
  damage(base, remove_it);
  EXPECT_TRUE(must(snapshots().touch(base, *root().lease)));
  EXPECT_EQ(root().names(base), "f");
}

TEST_P(SnapshotterDamage, APackedSnapshotThatWasEmptiedIsUnpackedFromItsLayer) {
  const SnapshotId base = file(std::nullopt, "base");
  const SnapshotId top = file(base, "top");
  (void)root().blob(base);
  (void)root().blob(top);
  damage(top, empty_it);
  EXPECT_EQ(root().names(top), "base top");
}

TEST_P(SnapshotterDamage, ALayerOfItsOwnWhoseBlobIsGoneIsPackedAgain) {
  const SnapshotId id = file(std::nullopt, "f");
  const oci::LayerBlob packed = root().blob(id);
  root().lose(packed.descriptor.digest);
  EXPECT_EQ(root().blob(id).descriptor.digest, packed.descriptor.digest);
}

// Somebody else's tar has another order, say: packed from the directory it would be another layer.
TEST_P(SnapshotterDamage, ALayerOfOthersWhoseBlobIsGoneIsNeverPackedAsAnother) {
  for (const auto type : {oci::Compression::kUncompressed, oci::Compression::kGzip}) {
    const oci::LayerBlob layer = root().store(LayerMaker().file("b").file("a").take());
    const SnapshotId base = must(snapshots().add_layer(std::nullopt, layer, *root().lease));
    const SnapshotId top = file(base, "top");
    root().lose(layer.descriptor.digest);
    const auto packed = snapshots().layer_blob(base, {type, -1}, *root().lease, {});
    ASSERT_FALSE(packed);
    EXPECT_EQ(code_of(packed), "data_loss");
    EXPECT_THAT(packed.error().to_string(), testing::HasSubstr(layer.descriptor.digest.hex()));
    EXPECT_FALSE(must(snapshots().touch(top, *root().lease)));
    EXPECT_THAT(must(snapshots().list()), IsEmpty());
  }
}

TEST_P(SnapshotterDamage, WithoutABlobItIsGoneWithAllThatStandsOnIt) {
  const SnapshotId base = file(std::nullopt, "base");
  const SnapshotId middle = file(base, "middle");
  const SnapshotId top = file(middle, "top");
  damage(middle, remove_it);
  EXPECT_FALSE(must(snapshots().touch(top, *root().lease)));
  EXPECT_FALSE(must(snapshots().touch(middle, *root().lease)));
  EXPECT_TRUE(must(snapshots().touch(base, *root().lease)));
  EXPECT_THAT(must(snapshots().list()), ElementsAre(base));
}

TEST_P(SnapshotterDamage, WhatWasEmptiedIsNotShown) {
  const SnapshotId base = file(std::nullopt, "base");
  damage(base, empty_it);
  EXPECT_EQ(code_of(snapshots().view(base, {})), "not_found");
  EXPECT_THAT(must(snapshots().list()), IsEmpty());
}

TEST_P(SnapshotterDamage, WhatStoodOnADroppedParentIsNotCommitted) {
  const SnapshotId base = file(std::nullopt, "base");
  const auto active = must(snapshots().prepare(base, *root().lease, {}));
  must(remove_tree(directory(base)));
  const auto finder = root().another();
  EXPECT_FALSE(must(finder->touch(base, *root().lease)));
  EXPECT_FALSE(active->commit());
  EXPECT_THAT(must(snapshots().list()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Kinds, SnapshotterDamage,
                         testing::Values("overlay", "copy", "overlay-userxattr"),
                         [](const auto& kind) {
                           const std::string name = kind.param;
                           return name == "overlay-userxattr" ? "userxattr" : name;
                         });

}  // namespace
}  // namespace kiln
