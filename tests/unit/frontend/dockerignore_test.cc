#include "frontend/dockerignore.h"

#include <gtest/gtest.h>

namespace kiln::dockerfile {
namespace {

TEST(DockerignoreTest, CleansThePatternsOfEachLine) {
  const std::vector<std::string> patterns = read_ignore_patterns(
      "\xEF\xBB\xBF# comment\n  a/ \r\n\n/b/../c\n!  /d//e\n # not a comment\n!\n/\n*.md");
  EXPECT_EQ(patterns,
            (std::vector<std::string>{"a", "c", "!d/e", "# not a comment", "!", "/", "*.md"}));
}

TEST(DockerignoreTest, RefusesPatternsThatMeanNothing) {
  const auto bare = parse_dockerignore("a\n!\n", ".dockerignore");
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().to_string(), ".dockerignore: illegal exclusion pattern: \"!\"");
  EXPECT_FALSE(parse_dockerignore("[a\n", ".dockerignore"));
}

TEST(DockerignoreTest, MatchesWhatIsLeft) {
  const auto matcher = parse_dockerignore("*\n!src\nsrc/*.o\n", ".dockerignore");
  ASSERT_TRUE(matcher);
  EXPECT_TRUE(matcher->matches("a"));
  EXPECT_FALSE(matcher->matches("src/a.c"));
  EXPECT_TRUE(matcher->matches("src/a.o"));
}

}  // namespace
}  // namespace kiln::dockerfile
