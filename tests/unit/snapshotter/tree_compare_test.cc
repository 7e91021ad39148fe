#include "snapshotter/tree_compare.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TreeCompareTest : public testing::Test {
 protected:
  std::string now(const std::string& path) const { return dir_.path() + "/now/" + path; }
  std::string before(const std::string& path) const { return dir_.path() + "/before/" + path; }
  void both(const std::string& path, const std::string& text) const {
    for (const std::string& file : {now(path), before(path)}) {
      must(make_dirs(file.substr(0, file.rfind('/'))));
      must(write_file(file, text));
    }
  }
  std::vector<std::string> lines(const std::string& at = "/",
                                 const TreeCompareLimits& limits = {}) const {
    const Root a = must(Root::open(dir_.path() + "/now"));
    const Root b = must(Root::open(dir_.path() + "/before"));
    return describe_changes(must(compare_trees(a, b, must(RelPath::rooted(at)), limits, {})));
  }

  void SetUp() override { both("d/same", "same"); }
  const TempDir dir_ = must(TempDir::create("/tmp", "kiln-compare-"));
};

TEST_F(TreeCompareTest, EqualTreesDifferInNothingWhateverTheirTimes) {
  const timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, now("d/same").c_str(), times, 0), 0);
  ASSERT_EQ(::symlink("x", now("link").c_str()), 0);
  ASSERT_EQ(::symlink("x", before("link").c_str()), 0);
  EXPECT_THAT(lines(), IsEmpty());
}

TEST_F(TreeCompareTest, WhatCameWentAndChangedIsNamed) {
  must(write_file(now("d/same"), "else"));  // of the same size
  both("longer", "1");
  must(write_file(now("longer"), "12"));
  must(make_dirs(now("new/deep")));
  must(write_file(now("new/deep/file"), ""));
  must(write_file(before("gone"), ""));
  ASSERT_EQ(::symlink("x", now("link").c_str()), 0);
  ASSERT_EQ(::symlink("y", before("link").c_str()), 0);
  must(write_file(now("type"), ""));
  must(make_dirs(before("type")));
  ASSERT_EQ(::chmod(now("type").c_str(), 0755), 0);
  EXPECT_THAT(lines(),
              ElementsAre("changed: d/same, link, longer and 1 more", "new: new", "gone: gone"));
  EXPECT_THAT(lines("/d"), ElementsAre("changed: same"));
  EXPECT_THAT(lines("/longer"), ElementsAre("changed: /longer"));
  EXPECT_THAT(lines("/nowhere"), IsEmpty());
}

TEST_F(TreeCompareTest, ModesAreToldAsTheyWereAndAre) {
  for (const char* file : {"a", "b", "c", "d/e"}) {
    both(file, "x");
    ASSERT_EQ(::chmod(now(file).c_str(), 0644), 0);
    ASSERT_EQ(::chmod(before(file).c_str(), 0664), 0);
  }
  EXPECT_THAT(lines(), ElementsAre("mode changed: a, b, c and 1 more (0664 became 0644)"));
}

TEST_F(TreeCompareTest, BeyondItsLimitsLessIsSeenAndNothingFails) {
  both("x", "1");
  must(write_file(now("x"), "2"));
  const timespec times[2] = {{1, 0}, {1, 0}};
  for (const std::string& file : {now("x"), before("x")})
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  EXPECT_THAT(lines("/", {100, 0}), IsEmpty());  // equal sizes and times
  EXPECT_THAT(lines("/", {1, 100}), IsEmpty());
  EXPECT_THAT(lines("/", {100, 100}), ElementsAre("changed: x"));
}

}  // namespace
}  // namespace kiln
