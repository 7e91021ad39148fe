#include "snapshotter/tree_kind.h"

#include <gtest/gtest.h>

namespace kiln::internal {
namespace {

TEST(RootMtimeTest, IsTheSameToTheNanosecondOrWhereThereAreNoneToTheSecond) {
  constexpr int64_t kNoted = 1'500'000'000'250'000'000;
  EXPECT_TRUE(is_same_root_mtime(kNoted, kNoted));
  EXPECT_TRUE(is_same_root_mtime(kNoted, 1'500'000'000'000'000'000));
  EXPECT_FALSE(is_same_root_mtime(kNoted, kNoted + 1));
  EXPECT_FALSE(is_same_root_mtime(kNoted, 1'499'999'999'000'000'000));
  EXPECT_FALSE(is_same_root_mtime(kNoted, 1'500'000'001'000'000'000));
  EXPECT_TRUE(is_same_root_mtime(-250'000'000, -1'000'000'000));
  EXPECT_FALSE(is_same_root_mtime(-250'000'000, 0));
}

}  // namespace
}  // namespace kiln::internal
