#include "base/glob.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kiln {
namespace {

struct GlobCase {
  std::string pattern, name;
  bool matches;
};

TEST(GlobTest, MatchesAsFilepathMatchDoes) {
  const std::vector<GlobCase> cases = {{"abc", "abc", true},
                                       {"*", "abc", true},
                                       {"*c", "abc", true},
                                       {"a*", "a", true},
                                       {"a*", "ab/c", false},
                                       {"a*/b", "abc/b", true},
                                       {"a*/b", "a/c/b", false},
                                       {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
                                       {"a*b*c*d*e*/f", "axbxcxdxexxx/f", true},
                                       {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false},
                                       {"a*b?c*x", "abxbbxdbxebxczzx", true},
                                       {"a*b?c*x", "abxbbxdbxebxczzy", false},
                                       {"ab[c]", "abc", true},
                                       {"ab[b-d]", "abc", true},
                                       {"ab[e-g]", "abc", false},
                                       {"ab[^c]", "abc", false},
                                       {"ab[^b-d]", "abc", false},
                                       {"ab[^e-g]", "abc", true},
                                       {"a\\*b", "a*b", true},
                                       {"a\\*b", "ab", false},
                                       {"a?b",
                                        "a\xE2\x98\xBA"
                                        "b",
                                        true},
                                       {"a[^a]b",
                                        "a\xE2\x98\xBA"
                                        "b",
                                        true},
                                       {"a???b",
                                        "a\xE2\x98\xBA"
                                        "b",
                                        false},
                                       {"[a-\xCE\xB6]*", "\xCE\xB1", true},
                                       {"*[a-\xCE\xB6]", "A", false},
                                       {"a?b", "a/b", false},
                                       {"a*b", "a/b", false},
                                       {"[\\]a]", "]", true},
                                       {"[\\-]", "-", true},
                                       {"[x\\-]", "x", true},
                                       {"[x\\-]", "-", true},
                                       {"[x\\-]", "z", false},
                                       {"[\\-x]", "a", false},
                                       {"*x", "xxx", true},
                                       {"", "", true},
                                       {"", "a", false},
                                       {"*", "", true},
                                       {"?", "", false},
                                       {"**", "ab", true},
                                       {"a", "\xFF", false},
                                       {"?", "\xFF", true}};
  for (const GlobCase& c : cases) {
    const auto result = glob_match(c.pattern, c.name);
    ASSERT_TRUE(result) << c.pattern;
    EXPECT_EQ(*result, c.matches) << c.pattern << " on " << c.name;
  }
}

TEST(GlobTest, RefusesBadPatternsEvenWhereMatchingEndedBefore) {
  for (const std::string pattern : {"[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc",
                                    "a[", "\\", "a\\", "[a\\", "z[", "[\xFF]"}) {
    EXPECT_FALSE(glob_match(pattern, "a")) << pattern;
    EXPECT_FALSE(check_glob(pattern)) << pattern;
  }
}

TEST(GlobTest, KnowsWildcardsFromEscapedOnes) {
  EXPECT_TRUE(has_wildcard("a*"));
  EXPECT_TRUE(has_wildcard("[a]"));
  EXPECT_TRUE(has_wildcard("\\\\?"));
  EXPECT_FALSE(has_wildcard("a\\*"));
  EXPECT_FALSE(has_wildcard("a\\"));
  EXPECT_FALSE(has_wildcard(""));
}

}  // namespace
}  // namespace kiln
