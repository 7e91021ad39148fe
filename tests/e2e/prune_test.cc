// What `kiln prune` gives up of what was fetched.
#include <gmock/gmock.h>

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

}  // namespace
}  // namespace kiln::e2e
