#include "frontend/source_block.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kiln::dockerfile {
namespace {

TEST(SourceBlockTest, ShowsMoreLinesAroundASingleOne) {
  const std::string text = "1\n2\n3\n4\n5\n6\n";
  EXPECT_EQ(source_block({"D", 4, 4}, "D", text),
            "D:4\n--------------------\n   2 |     2\n   3 |     3\n   4 | >>> 4\n   5 |     5\n"
            "   6 |     6\n--------------------\n");
  EXPECT_EQ(source_block({"D", 1, 2}, "D", text),
            "D:1\n--------------------\n   1 | >>> 1\n   2 | >>> 2\n   3 |     3\n"
            "--------------------\n");
  EXPECT_EQ(source_block({"D", 6, 6}, "D", text),
            "D:6\n--------------------\n   4 |     4\n   5 |     5\n   6 | >>> 6\n   7 |\n"
            "--------------------\n");
  EXPECT_EQ(source_block({}, "D", text), "");
  EXPECT_EQ(source_block({"D", 9, 9}, "D", text), "");
}

TEST(SourceBlockTest, LeavesOutCredentialsOfUrls) {
  const std::string text = "ADD https://user:s3cr3t@h/x ssh://git@h/r.git /\n";
  EXPECT_EQ(source_block({"D", 1, 1}, "D", text),
            "D:1\n--------------------\n   1 | >>> ADD https://h/x ssh://git@h/r.git /\n   2 |\n"
            "--------------------\n");
}

TEST(SourceBlockTest, LeavesOutTheMiddleOfManyLines) {
  std::string text;
  for (int i = 1; i <= 40; ++i) text += "l" + std::to_string(i) + "\n";
  const std::string block = source_block({"f", 1, 40}, "f", text);
  EXPECT_EQ(std::count(block.begin(), block.end(), '\n'), 17) << block;
  EXPECT_NE(block.find("   6 | >>> l6\n     | ...\n  35 | >>> l35\n"), std::string::npos) << block;
  const std::string whole = source_block({"f", 1, 12}, "f", text);
  EXPECT_EQ(whole.find("..."), std::string::npos) << whole;
}

TEST(SourceBlockTest, EscapesControlBytesAndCutsLongLines) {
  const std::string block =
      source_block({"f", 1, 1}, "f", "RUN \x1b[31m\r\n" + std::string(500, 'x'));
  EXPECT_EQ(block.find('\x1b'), std::string::npos);
  EXPECT_EQ(block.find('\r'), std::string::npos);
  EXPECT_NE(block.find("xxx...\n"), std::string::npos);
}

}  // namespace
}  // namespace kiln::dockerfile
