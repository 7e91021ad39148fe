// The scanner itself: a rule that sees nothing holds always.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/architecture/source_tree.h"

namespace kiln {
namespace {

TEST(SourceTreeTest, TheScannerSeesCodeAndNotComments) {
  const std::string text =
      "a(\"system(1)\"); // system(2)\n/* system(\n3) */ b('\"'); system(4); n = 1'000'000; "
      "c(R\"(system(5))\");";
  const std::string code = blank_literals(text);
  EXPECT_EQ(std::count(code.begin(), code.end(), '\n'), 2);
  EXPECT_EQ(code.find("system("), code.rfind("system(")) << code;
  EXPECT_NE(code.find("system(4)"), std::string::npos) << code;
  EXPECT_NE(code.find("1'000'000"), std::string::npos) << code;
  EXPECT_GT(sources().size(), 40U) << "the tree was found";
}

}  // namespace
}  // namespace kiln
