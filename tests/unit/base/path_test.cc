#include "base/path.h"

#include <gtest/gtest.h>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

struct TextCase {
  std::string input, expected;
};

TEST(RelPathTest, RootedCleansAsIfTheTextStoodAtTheRoot) {
  const TextCase cases[] = {
      {"", ""},           {"/", ""},       {".", ""},        {"a/b", "a/b"},   {"/a//b/", "a/b"},
      {"./a/./b", "a/b"}, {"a/../b", "b"}, {"../../a", "a"}, {"/..", ""},      {"a/..", ""},
      {"a/b/../..", ""},  {"...", "..."},  {" a ", " a "},   {"a\nb", "a\nb"}, {"\xff", "\xff"}};
  for (const TextCase& c : cases)
    EXPECT_EQ(must(RelPath::rooted(c.input)).str(), c.expected) << c.input;
}

TEST(RelPathTest, StrictDropsLeadingSlashesAndDots) {
  const TextCase cases[] = {
      {"/a/b", "a/b"}, {"./a", "a"}, {"a/./b/", "a/b"}, {"", ""}, {"..a", "..a"}};
  for (const TextCase& c : cases)
    EXPECT_EQ(must(RelPath::strict(c.input)).str(), c.expected) << c.input;
}

TEST(RelPathTest, StrictRefusesAnyDotDot) {
  for (const char* text : {"..", "../a", "a/../b", "a/..", "/../etc"})
    EXPECT_EQ(code_of(RelPath::strict(text)), "invalid_argument") << text;
}

TEST(RelPathTest, NulBytesAreRefused) {
  const std::string_view text("a\0b", 3);
  EXPECT_EQ(code_of(RelPath::rooted(text)), "invalid_argument");
  EXPECT_EQ(code_of(RelPath::strict(text)), "invalid_argument");
}

TEST(RelPathTest, NameAndParentTakeThePathApart) {
  const RelPath path = must(RelPath::rooted("a/b/c"));
  EXPECT_EQ(path.name(), "c");
  EXPECT_EQ(path.parent().str(), "a/b");
  EXPECT_EQ(path.parent().parent().parent().str(), "");
  EXPECT_EQ(RelPath().parent(), RelPath());
  EXPECT_EQ(RelPath().name(), "");
  EXPECT_EQ(path.absolute(), "/a/b/c");
  EXPECT_EQ(path.components(), (std::vector<std::string_view>{"a", "b", "c"}));
}

TEST(RelPathTest, ChildAndJoinAppend) {
  const RelPath base = must(RelPath::rooted("a"));
  EXPECT_EQ(base.child("b").str(), "a/b");
  EXPECT_EQ(RelPath().child("b").str(), "b");
  EXPECT_EQ(base.join(must(RelPath::rooted("x/y"))).str(), "a/x/y");
  EXPECT_EQ(base.join(RelPath()), base);
  EXPECT_EQ(RelPath().join(base), base);
}

TEST(RelPathDeathTest, ChildMustBeAPlainName) {
  for (const char* name : {"", ".", "..", "a/b"})
    EXPECT_DEATH((void)RelPath().child(name), "check failed");
}

TEST(RelPathTest, WithinComparesWholeComponents) {
  const auto within = [](const char* path, const char* ancestor) {
    return must(RelPath::rooted(path)).is_within(must(RelPath::rooted(ancestor)));
  };
  EXPECT_TRUE(within("a/b", "a"));
  EXPECT_TRUE(within("a", "a"));
  EXPECT_TRUE(within("a", ""));
  EXPECT_FALSE(within("ab", "a"));
  EXPECT_FALSE(within("a", "a/b"));
}

TEST(PathTest, CleanPathFollowsGo) {
  const TextCase cases[] = {{"", "."},
                            {"abc", "abc"},
                            {"abc/", "abc"},
                            {"/", "/"},
                            {"a//b/../c", "a/c"},
                            {"/..", "/"},
                            {"../a", "../a"},
                            {"../../a/..", "../.."},
                            {"a/..", "."},
                            {"/a/./b", "/a/b"},
                            {"./a", "a"},
                            {"a/../../b", "../b"}};
  for (const TextCase& c : cases) EXPECT_EQ(clean_path(c.input), c.expected) << c.input;
}

TEST(PathTest, JoinPathLetsAnAbsolutePathWin) {
  EXPECT_EQ(join_path("/a", "b"), "/a/b");
  EXPECT_EQ(join_path("/a", "/b/"), "/b");
  EXPECT_EQ(join_path("a", "../.."), "..");
  EXPECT_EQ(join_path("", "b"), "b");
  EXPECT_EQ(join_path("/a", ""), "/a");
  EXPECT_EQ(join_path("", ""), ".");
}

}  // namespace
}  // namespace kiln
