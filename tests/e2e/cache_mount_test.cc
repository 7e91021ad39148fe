// What is in a cache mount when a step starts: which steps share one, and when it starts anew.
#include <gmock/gmock.h>

#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

class CacheMountTest : public KilnTest {
 protected:
  /// Builds steps that each add a line to the cache `id`, and returns what the last one sees. `N`
  /// makes them others than those of the last build.
  std::string lines(const std::vector<std::string>& more) {
    const std::string add =
        "RUN --mount=type=cache,id=seen,target=/c echo $N >> /c/f && cp /c/f /seen\n";
    const std::string c = context("c", {{"Dockerfile", "FROM base AS first\nARG N\n" + add +
                                                           "FROM first AS second\n" + add}});
    std::vector<std::string> args = {"--build-arg=N=" + std::to_string(++builds_)};
    args.insert(args.end(), more.begin(), more.end());
    return built_file(c, "seen", args);
  }
  int builds_ = 0;
};

TEST_F(CacheMountTest, KeepsWhatStepsOfAllBuildsPutIntoIt) {
  EXPECT_EQ(lines({}), "1\n1\n");
  EXPECT_EQ(lines({}), "1\n1\n2\n2\n");
}

TEST_F(CacheMountTest, StartsAnewInABuildWithoutCacheAndStaysForItsSteps) {
  EXPECT_EQ(lines({}), "1\n1\n");
  EXPECT_EQ(lines({"--no-cache"}), "2\n2\n");
  EXPECT_EQ(lines({}), "2\n2\n3\n3\n");
  EXPECT_EQ(lines({"--no-cache-filter=second"}), "4\n") << "the second stage's step began anew";
}

TEST_F(CacheMountTest, OfAnotherNamespaceIsAnotherOne) {
  const std::string other = "--build-arg=BUILDKIT_CACHE_MOUNT_NS=other";
  EXPECT_EQ(lines({}), "1\n1\n");
  EXPECT_EQ(lines({other}), "2\n2\n");
  EXPECT_EQ(lines({}), "1\n1\n3\n3\n");
  EXPECT_EQ(lines({other, "--no-cache"}), "4\n4\n");
  EXPECT_EQ(lines({}), "1\n1\n3\n3\n5\n5\n") << "the other one alone began anew";
}

TEST_F(CacheMountTest, ANamespaceIsPartOfNoKey) {
  const std::string c = context(
      "k", {{"Dockerfile", "FROM base\nRUN --mount=type=cache,id=x,target=/c echo ran > /f\n"}});
  (void)build(c, {"-o", "type=cacheonly"});
  const std::string log =
      build(c, {"-o", "type=cacheonly", "--build-arg=BUILDKIT_CACHE_MOUNT_NS=other"});
  EXPECT_EQ(count(log, "CACHED"), 2) << log;
}

}  // namespace
}  // namespace kiln::e2e
