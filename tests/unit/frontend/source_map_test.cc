#include "frontend/source_map.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kiln::dockerfile {
namespace {

TEST(SourceMapTest, MarksTheLinesOfTheRangeAndShowsTheirNeighbours) {
  const SourceMap map("Dockerfile", "FROM a\nCOPY . .\nRUN make -j\nCMD x\nCMD y\n");
  EXPECT_EQ(map.excerpt({"Dockerfile", 3, 3}),
            "   2 | COPY . .\n > 3 | RUN make -j\n   4 | CMD x\n");
  EXPECT_EQ(map.excerpt({"Dockerfile", 1, 2}, 0), " > 1 | FROM a\n > 2 | COPY . .\n");
}

TEST(SourceMapTest, AlignsNumbersOfDifferentWidth) {
  const SourceMap map("f", "1\n2\n3\n4\n5\n6\n7\n8\n9\nten\n");
  EXPECT_EQ(map.excerpt({"f", 10, 10}), "    9 | 9\n > 10 | ten\n");
}

TEST(SourceMapTest, ShowsNothingForARangeOutsideTheText) {
  const SourceMap map("f", "a\n");
  EXPECT_EQ(map.excerpt({"f", 0, 0}), "");
  EXPECT_EQ(map.excerpt({"f", 2, 2}), "");
  EXPECT_EQ(SourceMap("f", "").excerpt({"f", 1, 1}), "");
}

TEST(SourceMapTest, LeavesOutTheMiddleOfALongRange) {
  std::string text;
  for (int i = 1; i <= 40; ++i) text += "l" + std::to_string(i) + "\n";
  const std::string excerpt = SourceMap("f", text).excerpt({"f", 1, 40});
  EXPECT_EQ(std::count(excerpt.begin(), excerpt.end(), '\n'), 13);
  EXPECT_NE(excerpt.find(" >  6 | l6\n      ...\n > 35 | l35\n"), std::string::npos) << excerpt;
}

TEST(SourceMapTest, EscapesControlBytesAndCutsLongLines) {
  const std::string excerpt =
      SourceMap("f", "RUN \x1b[31m\r\n" + std::string(500, 'x')).excerpt({"f", 1, 1});
  EXPECT_EQ(excerpt.find('\x1b'), std::string::npos);
  EXPECT_EQ(excerpt.find('\r'), std::string::npos);
  EXPECT_NE(excerpt.find("xxx...\n"), std::string::npos);
}

}  // namespace
}  // namespace kiln::dockerfile
