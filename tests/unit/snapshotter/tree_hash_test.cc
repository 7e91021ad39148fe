#include "snapshotter/tree_hash.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <functional>

#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using fake::TreeMaker;

RelPath rel(std::string_view path) {
  return must(RelPath::rooted(path));
}

class TreeHashTest : public testing::Test {
 protected:
  TempDir temp_ = must(TempDir::create("/tmp", "hash-"));
  TreeMaker tree_{temp_.path()};
  Root root_ = must(Root::open(temp_.path()));

  Digest hash(std::string_view path = "", StatCache* cache = nullptr) {
    return must(hash_tree(root_, rel(path), cache, {}));
  }
  void make_tree() {
    tree_.file("a", "1").file("d/b", "2").symlink("d/l", "b").dir("e");
    tree_.node("null", S_IFCHR | 0666, makedev(1, 3));
  }
};

struct Change {
  const char* name;
  std::function<void(const TreeMaker&)> apply;
  bool counts;
};

class TreeHashChangeTest : public TreeHashTest, public testing::WithParamInterface<Change> {};

TEST_P(TreeHashChangeTest, CountsOrNot) {
  make_tree();
  const Digest before = hash();
  GetParam().apply(tree_);
  EXPECT_EQ(hash() != before, GetParam().counts);
}

const Change kChanges[] = {

    Change{"content", [](const TreeMaker& tree) { tree.file("d/b", "3"); }, true},
    Change{"mode", [](const TreeMaker& tree) { tree.file("d/b", "2", 0600); }, true},
    Change{"directory_mode", [](const TreeMaker& tree) { tree.dir("d", 0700); }, true},
    Change{"uid", [](const TreeMaker& tree) { tree.owner("a", 1, 0); }, true},
    Change{"gid", [](const TreeMaker& tree) { tree.owner("d", 0, 1); }, true},
    Change{"link", [](const TreeMaker& tree) { tree.remove("d/l").symlink("d/l", "c"); }, true},
    Change{"new_name", [](const TreeMaker& tree) { tree.file("e/x"); }, true},
    Change{"renamed", [](const TreeMaker& tree) { tree.remove("a").file("aa", "1"); }, true},
    Change{"moved", [](const TreeMaker& tree) { tree.remove("d/b").file("e/b", "2"); }, true},
    Change{"gone", [](const TreeMaker& tree) { tree.remove("e"); }, true},
    Change{"device",
           [](const TreeMaker& tree) {
             tree.remove("null").node("null", S_IFCHR | 0666, makedev(1, 5));
           },
           true},
    Change{"type", [](const TreeMaker& tree) { tree.remove("e").file("e"); }, true},
    Change{"user_xattr", [](const TreeMaker& tree) { tree.xattr("d/b", "user.x", "1"); }, true},
    Change{"directory_xattr", [](const TreeMaker& tree) { tree.xattr("e", "user.x", "1"); }, true},
    Change{"capability",
           [](const TreeMaker& tree) {
             tree.xattr("a", "security.capability", fake::net_bind_capability());
           },
           true},
    Change{"trusted_xattr", [](const TreeMaker& tree) { tree.xattr("a", "trusted.x", "1"); },
           false},
    Change{"mtime", [](const TreeMaker& tree) { tree.settle(5); }, false},
    Change{"socket", [](const TreeMaker& tree) { tree.node("e/s", S_IFSOCK | 0600); }, false},
    Change{"hardlink_instead_of_copy",
           [](const TreeMaker& tree) {
             tree.file("d/b", "1").remove("a").hardlink("a", "d/b").remove("d/b").file("d/b", "2");
           },
           false}};

INSTANTIATE_TEST_SUITE_P(Changes, TreeHashChangeTest, testing::ValuesIn(kChanges),
                         [](const auto& change) { return change.param.name; });

TEST_F(TreeHashTest, AFileHasTheSameDigestWhereverItLies) {
  tree_.file("a", "x").file("d/other", "x");
  EXPECT_EQ(hash("a"), hash("d/other"));
}

TEST_F(TreeHashTest, NamesCannotBeTakenForContents) {
  tree_.file("one/ab").file("two/a").file("two/b");
  EXPECT_NE(hash("one"), hash("two"));
}

TEST_F(TreeHashTest, SymlinksAreHashedAsLinks) {
  tree_.symlink("l", "target").file("target", "1");
  const Digest before = hash("l");
  tree_.file("target", "2");
  EXPECT_EQ(hash("l"), before);
}

TEST_F(TreeHashTest, IsTheSameInEveryRun) {
  for (int i = 0; i < 500; ++i)
    tree_.file("d" + std::to_string(i % 40) + "/sub/f" + std::to_string(i), std::to_string(i));
  for (int i = 0; i < 200; ++i) tree_.file("flat/f" + std::to_string(i), std::to_string(i));
  const Digest first = hash();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(hash(), first);
}

TEST_F(TreeHashTest, DeepTreesCostNoFds) {
  std::string path = "d";
  for (int i = 0; i < 1100; ++i) path += "/d";
  tree_.file(path + "/f", "x");
  EXPECT_EQ(code_of(hash_tree(root_, RelPath(), nullptr, {})), "ok");
}

TEST_F(TreeHashTest, ReportsWhatIsNotThereAndStops) {
  EXPECT_EQ(code_of(hash_tree(root_, rel("none"), nullptr, {})), "not_found");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of(hash_tree(root_, RelPath(), nullptr, stop.get_token())), "cancelled");
}

TEST_F(TreeHashTest, FileHashIsSha256OfItsBytes) {
  tree_.file("f", "abc").symlink("l", "f").node("pipe", S_IFIFO | 0600);
  EXPECT_EQ(must(hash_file(root_, rel("f"), nullptr)).digest, Digest::of("abc"));
  EXPECT_EQ(code_of(hash_file(root_, rel("l"), nullptr)), "invalid_argument");
  EXPECT_EQ(code_of(hash_file(root_, rel("pipe"), nullptr)), "invalid_argument");
  EXPECT_EQ(code_of(hash_file(root_, rel("none"), nullptr)), "not_found");
}

// Remembers what it was asked and told.
class FakeCache : public StatCache {
 public:
  std::optional<Digest> find(const struct stat&) const override { return answer; }
  void insert(const struct stat&, const Digest&) override { ++inserts; }
  Status save() override { return {}; }
  std::optional<Digest> find_selection(const Digest& /*key*/) const override {
    return std::nullopt;
  }
  void insert_selection(const Digest& /*key*/, const Digest& /*digest*/,
                        uint64_t /*files*/) override {}
  std::optional<Digest> answer;
  int inserts = 0;
};

TEST_F(TreeHashTest, UsesTheCacheInsteadOfReading) {
  tree_.file("f", "abc");
  FakeCache cache;
  const Digest real = hash("", &cache);
  EXPECT_EQ(cache.inserts, 1);
  cache.answer = Digest::of("abc");
  EXPECT_EQ(hash("", &cache), real);
  EXPECT_EQ(cache.inserts, 1);
  cache.answer = Digest::of("something else");
  EXPECT_NE(hash("", &cache), real);
}

TEST_F(TreeHashTest, DoesNotCacheFilesWithXattrs) {
  tree_.file("f", "abc").xattr("f", "user.x", "1");
  FakeCache cache;
  hash("", &cache);
  EXPECT_EQ(cache.inserts, 0);
}

}  // namespace
}  // namespace kiln
