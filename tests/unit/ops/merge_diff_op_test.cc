#include "tests/unit/ops/ops_world.h"

namespace kiln {
namespace {

using fake::normalized_tree;

class MergeDiffOpTest : public fake::OpsWorld {
 protected:
  RefPtr on(const RefPtr& base, llb::FileAction action) {
    action.input = base ? 0 : llb::kNoIndex;
    action.output = 0;
    std::vector<RefPtr> inputs;
    if (base) inputs.push_back(base);
    return execute(vertex(llb::FileOp{{std::move(action)}}, inputs.size()), inputs).value().front();
  }
  static llb::FileAction mkfile(const std::string& path, const std::string& text) {
    llb::FileAction action;
    action.action = llb::MkFileAction{path, 0644, text, std::nullopt, -1};
    return action;
  }
  static llb::FileAction rm(const std::string& path) {
    llb::FileAction action;
    action.action = llb::RmAction{path, false, false};
    return action;
  }
};

TEST_F(MergeDiffOpTest, LaterTreesWinInAMerge) {
  const RefPtr a = snapshot_of("f x 0644 0:0 a; f only-a 0644 0:0 a");
  const RefPtr b = snapshot_of("f x 0644 0:0 b; f only-b 0644 0:0 b");
  const auto merged = execute(vertex(llb::MergeOp{{0, 1}}, 2), {a, b});
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_EQ(listing(merged->front()),
            normalized_tree("f only-a 0644 0:0 a; f only-b 0644 0:0 b; f x 0644 0:0 b"));
}

TEST_F(MergeDiffOpTest, ADiffToAnAncestorIsTheLayersBetween) {
  const RefPtr base = snapshot_of("f base 0644 0:0 b");
  const RefPtr top = on(on(base, mkfile("/one", "1")), mkfile("/two", "2"));
  const auto diff = execute(vertex(llb::DiffOp{0, 1}, 2), {base, top});
  ASSERT_TRUE(diff) << diff.error().to_string();
  EXPECT_EQ(listing(diff->front()), normalized_tree("f one 0644 0:0 1; f two 0644 0:0 2"));
}

TEST_F(MergeDiffOpTest, ADiffOfStrangersComparesEntries) {
  const RefPtr lower = snapshot_of("f same 0644 0:0 s; f gone 0644 0:0 g; f x 0644 0:0 a");
  const RefPtr upper = snapshot_of("f same 0644 0:0 s; f x 0644 0:0 bb");
  const auto diff = execute(vertex(llb::DiffOp{0, 1}, 2), {lower, upper});
  ASSERT_TRUE(diff) << diff.error().to_string();
  const auto merged = execute(vertex(llb::MergeOp{{0, 1}}, 2), {lower, diff->front()});
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_EQ(listing(merged->front()), listing(upper));
}

TEST_F(MergeDiffOpTest, ADeletionOfADiffDeletesInAMerge) {
  const RefPtr base = snapshot_of("f a 0644 0:0 a; f b 0644 0:0 b");
  const auto diff = execute(vertex(llb::DiffOp{0, 1}, 2), {base, on(base, rm("/a"))});
  ASSERT_TRUE(diff);
  const auto merged = execute(vertex(llb::MergeOp{{0, 1}}, 2), {base, diff->front()});
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_EQ(listing(merged->front()), normalized_tree("f b 0644 0:0 b"));
}

TEST_F(MergeDiffOpTest, NothingDiffersFromItself) {
  const RefPtr base = snapshot_of("f a 0644 0:0 a");
  const auto diff = execute(vertex(llb::DiffOp{0, 1}, 2), {base, base});
  ASSERT_TRUE(diff);
  EXPECT_EQ(listing(diff->front()), "");
}

}  // namespace
}  // namespace kiln
