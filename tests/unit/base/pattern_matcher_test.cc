#include "base/pattern_matcher.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kiln {
namespace {

PatternMatcher compiled(const std::vector<std::string>& patterns) {
  auto matcher = PatternMatcher::compile(patterns);
  EXPECT_TRUE(matcher) << (matcher ? "" : matcher.error().to_string());
  return matcher.value_or(PatternMatcher());
}

struct PatternCase {
  std::vector<std::string> patterns;
  std::string path;
  bool excluded;
};

TEST(PatternMatcherTest, DecidesByTheLastPatternThatMatches) {
  const std::vector<PatternCase> cases = {
      {{}, "a", false},
      {{"a"}, "a", true},
      {{"a"}, "a/b/c", true},
      {{"a"}, "b/a", false},
      {{"a"}, "ab", false},
      {{"a/b"}, "a/b/c", true},
      {{"a/b"}, "a", false},
      {{"*.log"}, "x.log", true},
      {{"*.log"}, "a/x.log", false},
      {{"*/*.log"}, "a/x.log", true},
      {{"*"}, "a/b", true},
      {{"?"}, "a", true},
      {{"?"}, "ab", false},
      {{"**"}, "a/b", true},
      {{"**/x"}, "x", true},
      {{"**/x"}, "a/b/x", true},
      {{"**/x"}, "ax", false},
      {{"**/x"}, "x/y", true},
      {{"**/*.go"}, "a.go", true},
      {{"**/*.go"}, "a/b/c.go", true},
      {{"**/*.go"}, "a/b/c.god", false},
      {{"a/**"}, "a", false},
      {{"a/**"}, "a/b/c", true},
      {{"a/**/b"}, "a/b", true},
      {{"a/**/b"}, "a/x/y/b", true},
      {{"a/**/b"}, "a/xb", false},
      {{"a/**/b/*.c"}, "a/x/b/d.c", true},
      {{"**/a/**/b"}, "x/a/y/z/b", true},
      {{"a*/**"}, "ab/c/d", true},
      {{"a*/**"}, "ab", false},
      {{"**x"}, "a/yx", true},
      {{"a**b"}, "ab", true},
      {{"a**b"}, "ax/b", true},
      {{"[a-c]x"}, "bx", true},
      {{"[^a-c]x"}, "bx", false},
      {{"a\\*"}, "a*", true},
      {{"a\\*"}, "ab", false},
      {{"a.b"}, "axb", false},
      {{"a/"}, "a", true},
      {{"./a"}, "a", true},
      {{"."}, "a", false},
      {{"a", "!a/b"}, "a/b", false},
      {{"a", "!a/b"}, "a/c", true},
      {{"a", "!a/b", "a/b/c"}, "a/b/c", true},
      {{"!a", "a"}, "a", true},
      {{"*", "!a"}, "a/b", false},
      {{"*", "!a/b"}, "a/b/c", false},
      {{"*", "!a/b"}, "a/c", true},
      {{"**", "!**/*.md"}, "a/b.md", false},
      {{"*.md", "!README*.md", "README-secret.md"}, "README.md", false},
      {{"*.md", "!README*.md", "README-secret.md"}, "README-secret.md", true},
      {{"  ", "a"}, "a", true},
      {{"\xED\x95\x9C?"}, "\xED\x95\x9C\xEA\xB8\x80", true},
      {{"? a"}, "\xED\x95\x9C a", true}};
  for (const PatternCase& c : cases) {
    const PatternMatcher matcher = compiled(c.patterns);
    std::string shown;
    for (const std::string& pattern : c.patterns) shown += pattern + " ";
    EXPECT_EQ(matcher.matches(c.path), c.excluded) << shown << "on " << c.path;
  }
}

TEST(PatternMatcherTest, RefusesPatternsThatMeanNothing) {
  for (const std::vector<std::string>& patterns :
       std::vector<std::vector<std::string>>{{"!"}, {"a", " ! "}, {"[a"}, {"a\\"}, {"!["}}) {
    EXPECT_FALSE(PatternMatcher::compile(patterns)) << patterns.front();
  }
  EXPECT_EQ(PatternMatcher::compile({"!"}).error().message(), "illegal exclusion pattern: \"!\"");
}

TEST(PatternMatcherTest, CarriesTheParentsVerdictDownAWalk) {
  const PatternMatcher matcher = compiled({"node_modules", "!node_modules/keep"});
  const auto dir = matcher.match("node_modules", {});
  EXPECT_TRUE(dir.excluded);
  EXPECT_TRUE(matcher.match_file("node_modules/x", dir.self));
  const auto kept = matcher.match("node_modules/keep", dir.self);
  EXPECT_FALSE(kept.excluded);
  EXPECT_FALSE(matcher.match_file("node_modules/keep/y", kept.self));
}

TEST(PatternMatcherTest, SkipsDirectoriesBelowWhichNothingCanComeBack) {
  EXPECT_TRUE(compiled({"a"}).can_skip_directory("a"));
  EXPECT_TRUE(compiled({"a", "!b/c"}).can_skip_directory("a"));
  EXPECT_FALSE(compiled({"a", "!a/b"}).can_skip_directory("a"));
  EXPECT_TRUE(compiled({"a", "!a"}).can_skip_directory("a/b"));
  EXPECT_FALSE(compiled({"a", "!**/b"}).can_skip_directory("a"));
  EXPECT_FALSE(compiled({"a", "!a/*/c"}).can_skip_directory("a/b"));
  EXPECT_FALSE(compiled({"a", "!*/c"}).can_skip_directory("a"));
  EXPECT_TRUE(compiled({"a", "!b*/c"}).can_skip_directory("a"));
  EXPECT_FALSE(compiled({"a", "!a/b/**"}).can_skip_directory("a"));
}

TEST(PatternMatcherTest, HandlesPatternsOfManyTokens) {
  const std::string stem(200, 'x');
  const PatternMatcher matcher = compiled({"*" + stem + "?*"});
  EXPECT_TRUE(matcher.matches("a" + stem + "y"));
  EXPECT_FALSE(matcher.matches("a" + stem));
}

TEST(PatternMatcherTest, TakesTimeLinearInThePathWhateverTheStars) {
  const PatternMatcher matcher = compiled({"**/a*a*a*a*a*a*a*a*a*a*/**/a*a*a*a*a*b"});
  EXPECT_FALSE(matcher.matches(std::string(4000, 'a') + "/" + std::string(4000, 'a')));
}

}  // namespace
}  // namespace kiln
