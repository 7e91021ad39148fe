// What `kiln prune` gives up of what was fetched.
#include <gmock/gmock.h>

#include <sstream>

#include "base/strings.h"
#include "tests/e2e/remote_fixture.h"

namespace kiln::e2e {
namespace {

class PruneTest : public RemoteTest {
 protected:
  void SetUp() override {
    RemoteTest::SetUp();
    if (IsSkipped()) return;
    const std::string url = serve("/f", kContent);
    served_["/f"].headers = {{"ETag", "\"one\""}};
    context_ = context("c", {{"Dockerfile", "FROM scratch\nADD " + url + " /\n"}});
  }
  /// Builds, and tells how the file came: with its bytes or without.
  std::string fetched() const {
    const size_t before = web_->requests().size();
    (void)build(context_, {"-o", "type=cacheonly"});
    const auto requests = web_->requests();
    if (requests.size() != before + 1)
      return std::to_string(requests.size() - before) + " requests";
    return requests.back().header("if-none-match") ? "asked" : "downloaded";
  }
  void prune(std::vector<std::string> args = {}) const {
    args.insert(args.begin(), "prune");
    const Output output = kiln(args);
    EXPECT_EQ(output.exit_code, 0) << output.err;
  }
  static constexpr const char* kContent = "content of the download";
  std::string context_;
};

TEST_F(PruneTest, ADownloadIsKeptWithTheCache) {
  EXPECT_EQ(fetched(), "downloaded");
  prune();
  EXPECT_EQ(fetched(), "asked");
  prune({"--until=24h"});
  prune({"--keep-storage=1gb"});
  EXPECT_EQ(fetched(), "asked");
}

TEST_F(PruneTest, ADownloadGoesWithTheCacheAndNothingOfItStays) {
  for (const char* option : {"--all", "--until=0s", "--keep-storage=0"}) {
    EXPECT_EQ(fetched(), "downloaded") << option;
    EXPECT_TRUE(is_kept(kContent));
    prune({option});
    EXPECT_FALSE(is_kept(kContent)) << option;
  }
}

TEST_F(PruneTest, ACheckoutGoesWithTheCache) {
  git_->commit("r", {{"a", "content of the checkout"}});
  const std::string c =
      context("g", {{"Dockerfile", "FROM scratch\nADD " + git_->url("r") + " /\n"}});
  (void)build(c, {"-o", "type=cacheonly"});
  EXPECT_TRUE(is_kept("content of the checkout"));
  prune();
  EXPECT_TRUE(is_kept("content of the checkout"));
  prune({"--all"});
  EXPECT_FALSE(is_kept("content of the checkout"));
}

class DiskUsageTest : public PruneTest {
 protected:
  void SetUp() override {
    PruneTest::SetUp();
    if (IsSkipped()) return;
    // A step, a copy that is only a layer, a cache mount, a download, and what a name gave up.
    const std::string url = web_->url("/f");
    const auto dockerfile = [&](const std::string& last) {
      return "FROM base AS a\nRUN --mount=type=cache,target=/c echo x >/c/x; echo " + last +
             " >/y\nFROM base\nLABEL kind=" + last + "\nCOPY --from=a /y /\nADD " + url + " /\n";
    };
    (void)build(context("one", {{"Dockerfile", dockerfile("one")}}), {"-t", "app"});
    (void)build(context("two", {{"Dockerfile", dockerfile("two")}}), {"-t", "app"});
  }
  std::string out(const std::vector<std::string>& args) const {
    const Output output = kiln(args);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return output.out;
  }
  uint64_t bytes(const std::vector<std::string>& filters) const {
    std::vector<std::string> args = {"du", "--format", "{{.SizeBytes}}"};
    for (const std::string& filter : filters) args.insert(args.end(), {"--filter", filter});
    uint64_t sum = 0;
    std::istringstream lines(out(args));
    for (uint64_t each = 0; lines >> each;) sum += each;
    return sum;
  }
};

TEST_F(DiskUsageTest, WhatIsReclaimableIsWhatPruneFrees) {
  const uint64_t total = bytes({}), reclaimable = bytes({"reclaimable"});
  EXPECT_GT(reclaimable, 0U);
  EXPECT_EQ(total - reclaimable, bytes({"type=image", "description~=."}) -
                                     bytes({"type=image", "description=image without a name"}));
  const std::string freed = out({"prune", "--all"});
  EXPECT_THAT(freed, testing::HasSubstr("Deleted Images:\ndeleted: sha256:"));
  EXPECT_THAT(freed, testing::HasSubstr("Deleted build cache objects:\n"));
  EXPECT_THAT(freed,
              testing::EndsWith("Total reclaimed space: " + human_bytes(reclaimable) + "\n"));
  EXPECT_EQ(bytes({}), total - reclaimable);
  EXPECT_EQ(bytes({"reclaimable"}), 0U);
}

TEST_F(DiskUsageTest, PruneTakesWhatTheFilterSays) {
  const uint64_t mounts = bytes({"type=exec.cachemount"});
  EXPECT_GT(mounts, 0U);
  EXPECT_THAT(out({"prune", "--filter", "type=exec.cachemount"}),
              testing::EndsWith("Total reclaimed space: " + human_bytes(mounts) + "\n"));
  EXPECT_EQ(bytes({"type=exec.cachemount"}), 0U);
  EXPECT_EQ(out({"prune", "--filter", "label=kind=two"}), "Total reclaimed space: 0B\n");
  EXPECT_THAT(out({"prune", "--filter", "label=kind=one"}), testing::HasSubstr("deleted: sha256:"));
  EXPECT_EQ(bytes({"description=image without a name"}), 0U);
  EXPECT_GT(bytes({"type=regular"}), 0U);
  (void)out({"prune", "--max-used-space", "0", "--reserved-space", "1gb"});
  EXPECT_GT(bytes({"type=regular"}), 0U);
  (void)out({"prune", "--max-used-space", "0"});
  EXPECT_EQ(bytes({"type!=image"}), 0U);
  EXPECT_EQ(kiln({"prune", "--filter", "labels=x"}).exit_code, 2);
}

}  // namespace
}  // namespace kiln::e2e
