// Pull-through: another registry's images, fetched once and kept.
#include <gmock/gmock.h>

#include <thread>

#include "base/clock.h"
#include "base/strings.h"
#include "cache/server/http_server.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::HasSubstr;

class MirrorTest : public ::testing::Test {
 protected:
  static ServerConfig audited() {
    ServerConfig config = TestRegistry::open_to_all();
    config.audit_reads = true;
    return config;
  }
  void SetUp() override {
    upstream_ = std::make_unique<TestRegistry>(audited());
    server_ =
        must(HttpServer::start(HttpOptions{}, upstream_->service(), upstream_->metrics().gauges));
    push("app", "1", "layer");
    ServerConfig config = TestRegistry::open_to_all();
    Upstream& hub = config.upstreams.emplace_back();
    hub.prefix = "hub";
    hub.remote = "127.0.0.1:" + std::to_string(server_->port());
    hub.refresh = std::chrono::seconds(refresh_);
    mirror_ = std::make_unique<TestRegistry>(config);
  }
  void TearDown() override { server_->stop(); }

  std::string push(const std::string& repository, const std::string& tag,
                   const std::string& layer) const {
    for (const std::string& blob : {std::string("{}"), layer})
      EXPECT_EQ(upstream_
                    ->ask({"POST",
                           "/v2/" + repository + "/blobs/uploads/?digest=" + digest_of(blob), blob})
                    .status,
                201);
    const Reply put = upstream_->ask({"PUT",
                                      "/v2/" + repository + "/manifests/" + tag,
                                      manifest_of({"{}", layer}),
                                      {{"Content-Type", kManifestType}}});
    EXPECT_EQ(put.status, 201) << put.body;
    return put.header("docker-content-digest");
  }
  Reply get(const std::string& path) const { return mirror_->ask({"GET", "/v2/hub/" + path}); }
  /// How often the other registry was asked for something with this in its path.
  size_t asked(const std::string& text) const {
    size_t count = 0;
    for (const std::string& line : upstream_->audit())
      if (line.find("\"GET\"") != std::string::npos && line.find(text) != std::string::npos)
        ++count;
    return count;
  }

  int refresh_ = 600;
  std::unique_ptr<TestRegistry> upstream_, mirror_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(MirrorTest, WhatWasPulledOnceIsKept) {
  const Reply manifest = get("app/manifests/1");
  EXPECT_EQ(manifest.status, 200) << manifest.body;
  EXPECT_EQ(manifest.header("content-type"), kManifestType);
  EXPECT_EQ(get("app/blobs/" + digest_of("layer")).body, "layer");
  EXPECT_EQ(mirror_->ask({"HEAD", "/v2/hub/app/blobs/" + digest_of("{}")}).status, 200);
  EXPECT_THAT(get("app/tags/list").body, HasSubstr("[\"1\"]"));
  server_->stop();
  EXPECT_EQ(get("app/manifests/1").status, 200);
  EXPECT_EQ(get("app/manifests/" + manifest.header("docker-content-digest")).status, 200);
  EXPECT_EQ(get("app/blobs/" + digest_of("layer")).body, "layer");
  EXPECT_EQ(asked(digest_of("layer")), 1U);
  EXPECT_EQ(get("app/blobs/" + digest_of("none")).status, 404);
}

TEST_F(MirrorTest, WhatIsNotThereIsNotHereAndNobodyPushes) {
  EXPECT_EQ(get("app/manifests/none").code(), "MANIFEST_UNKNOWN");
  EXPECT_EQ(get("none/manifests/1").code(), "MANIFEST_UNKNOWN");
  EXPECT_EQ(mirror_->ask({"POST", "/v2/hub/app/blobs/uploads/"}).status, 405);
  EXPECT_EQ(mirror_->ask({"POST", "/v2/own/app/blobs/uploads/"}).status, 202);
  // A blob of the other registry that no manifest led to is not fetched.
  EXPECT_EQ(get("app/blobs/" + digest_of("layer")).code(), "BLOB_UNKNOWN");
}

TEST_F(MirrorTest, ManyWhoWantTheSameWaitForOneFetch) {
  EXPECT_EQ(get("app/manifests/1").status, 200);
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        if (get("app/blobs/" + digest_of("layer")).body == "layer") ++good;
      });
  }
  EXPECT_EQ(good, 4);
  server_->stop();
  EXPECT_EQ(asked(digest_of("layer")), 1U);
}

TEST_F(MirrorTest, WhatNobodyPullsIsForgottenAndItsBlobsAreCollected) {
  EXPECT_EQ(get("app/manifests/1").status, 200);
  EXPECT_EQ(get("app/blobs/" + digest_of("layer")).status, 200);
  const auto expire = [&](std::chrono::hours later) {
    return must(Mirror::create({{"hub", "localhost", "", ""}}, mirror_->registry(), 1, {}))
        ->expire(Clock::system().now() + later);
  };
  must(expire(std::chrono::hours(24)));
  EXPECT_THAT(mirror_->ask({"GET", "/v2/_catalog"}).body, HasSubstr("hub/app"));
  must(expire(std::chrono::hours(24 * 8)));
  ASSERT_TRUE(mirror_->registry().collect(Clock::system().now() + std::chrono::hours(48),
                                          std::chrono::hours(24)));
  EXPECT_EQ(mirror_->ask({"GET", "/v2/_catalog"}).body, "{\"repositories\":[]}");
}

TEST_F(MirrorTest, NotAllThreadsWaitForAnotherRegistry) {
  const auto crowded =
      must(Mirror::create({{"hub", "localhost:1", "", ""}}, mirror_->registry(), 0, {}));
  EXPECT_EQ(crowded->tags("hub/app").error().status, 429);
  EXPECT_EQ(crowded->fetch_manifest("hub/app", "1").error().status, 429);
}

class FreshMirrorTest : public MirrorTest {
 protected:
  FreshMirrorTest() { refresh_ = 0; }
};

TEST_F(FreshMirrorTest, TagsAreAskedForAgainAndTheOldOnesServeInNeed) {
  EXPECT_EQ(get("app/manifests/1").status, 200);
  const std::string changed = push("app", "1", "another layer");
  EXPECT_EQ(get("app/manifests/1").header("docker-content-digest"), changed);
  EXPECT_EQ(get("app/blobs/" + digest_of("another layer")).body, "another layer");
  EXPECT_EQ(upstream_->ask({"DELETE", "/v2/app/manifests/1"}).status, 202);
  EXPECT_EQ(get("app/manifests/1").status, 404);
  push("app", "2", "layer");
  EXPECT_EQ(get("app/manifests/2").status, 200);
  server_->stop();
  EXPECT_EQ(get("app/manifests/2").status, 200) << "the other registry is away";
  EXPECT_EQ(get("app/manifests/3").status, 502);
}

}  // namespace
}  // namespace kiln::server
