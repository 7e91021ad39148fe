// Garbage collection beside pushes, and what fsck says of a store.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "base/clock.h"
#include "base/strings.h"
#include "cache/server/fsck.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using std::chrono::hours;
using ::testing::Contains;
using ::testing::HasSubstr;

class CollectTest : public ::testing::Test {
 protected:
  std::string push(const std::string& repository, const std::string& bytes) {
    const std::string digest = digest_of(bytes);
    EXPECT_EQ(
        registry_.ask({"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest, bytes})
            .status,
        201);
    return digest;
  }
  int put(const std::string& where, const std::string& text) {
    return registry_.ask({"PUT", "/v2/" + where, text, {{"Content-Type", kManifestType}}}).status;
  }
  int get(const std::string& path) { return registry_.ask({"GET", "/v2/" + path}).status; }
  Registry::Collected collect(std::chrono::seconds later) {
    auto collected = registry_.registry().collect(Clock::system().now() + later, hours(24));
    EXPECT_TRUE(collected) << collected.error().message << collected.error().log;
    return collected.value_or(Registry::Collected{});
  }
  FsckReport fsck(Repair repair) {
    told_.clear();
    return must(check_storage(registry_.storage(), repair,
                              [&](const std::string& line) { told_.push_back(line); }, {}));
  }
  std::string blob_file(const std::string& bytes) {
    const std::string hex = digest_of(bytes).substr(7);
    return registry_.path("store/blobs/sha256/" + hex.substr(0, 2) + "/" + hex);
  }

  TestRegistry registry_;
  std::vector<std::string> told_;
};

TEST_F(CollectTest, WhatNoManifestRefersToGoesAfterItsGrace) {
  push("a", "{}");
  push("a", "kept");
  push("a", "loose");
  push("b", "kept");
  EXPECT_EQ(put("a/manifests/1", manifest_of({"{}", "kept"})), 201);
  (void)registry_.ask({"POST", "/v2/a/blobs/uploads/"});
  EXPECT_EQ(collect(hours(23)).holdings, 0U);
  EXPECT_EQ(get("a/blobs/" + digest_of("loose")), 200);
  const Registry::Collected collected = collect(hours(25));
  EXPECT_EQ(collected.holdings, 2U);
  EXPECT_EQ(collected.blobs, 1U);
  EXPECT_EQ(collected.bytes, 5U);
  EXPECT_EQ(collected.uploads, 1U);
  EXPECT_EQ(get("a/blobs/" + digest_of("loose")), 404);
  EXPECT_EQ(get("b/blobs/" + digest_of("kept")), 404);
  EXPECT_EQ(get("a/blobs/" + digest_of("kept")), 200);
  EXPECT_EQ(get("a/manifests/1"), 200);
  // Without its manifest, what it referred to goes too, and so do its own bytes.
  const std::string digest = digest_of(manifest_of({"{}", "kept"}));
  EXPECT_EQ(registry_.ask({"DELETE", "/v2/a/manifests/" + digest}).status, 202);
  EXPECT_EQ(collect(hours(25)).blobs, 3U);
  EXPECT_EQ(fsck(Repair::kNo).blobs, 0U);
}

TEST_F(CollectTest, AskingForABlobKeepsIt) {
  // Pushed long ago, it is about to go; a client that hears of it will not send it again.
  const std::string digest = push("a", "old");
  const RecordKey key{"a", RecordKind::kBlob, must(BlobDigest::parse(digest)).component()};
  const std::string file = registry_.path("store/repositories/a/blobs/") + key.name;
  const timespec old[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), old, 0), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, blob_file("old").c_str(), old, 0), 0);
  EXPECT_EQ(registry_.ask({"HEAD", "/v2/a/blobs/" + digest}).status, 200);
  EXPECT_EQ(collect(hours(0)).holdings, 0U);
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), old, 0), 0);
  EXPECT_EQ(registry_.ask({"POST", "/v2/b/blobs/uploads/?mount=" + digest + "&from=a"}).status,
            201);
  EXPECT_EQ(collect(hours(0)).holdings, 1U);
  EXPECT_EQ(get("a/blobs/" + digest), 404);
  EXPECT_EQ(get("b/blobs/" + digest), 200);
}

// What it referred to cannot be told, so all that its repository holds stays.
TEST_F(CollectTest, ADamagedManifestKeepsItsRepositoryAndNoOther) {
  for (const char* repository : {"a", "b"}) {
    push(repository, "{}");
    push(repository, std::string("loose in ") + repository);
  }
  const std::string manifest = manifest_of({"{}"});
  EXPECT_EQ(put("b/manifests/1", manifest), 201);
  for (const std::string& damage : {std::string("{"), std::string(5U << 20U, ' ')}) {
    must(write_file(blob_file(manifest), damage));
    const Registry::Collected collected = collect(hours(25));
    EXPECT_THAT(collected.problems, ::testing::SizeIs(1));
  }
  EXPECT_EQ(get("a/blobs/" + digest_of("loose in a")), 404);
  EXPECT_EQ(get("b/blobs/" + digest_of("loose in b")), 200);
}

TEST(CollectBesidePushesTest, NoPushThatWasAcknowledgedIsLost) {
  // No grace at all: whatever is not inside the fence at the right time goes.
  ServerConfig config = TestRegistry::open_to_all();
  config.collect_grace = std::chrono::seconds(0);
  TestRegistry registry(config);
  std::atomic<bool> over{false};
  std::atomic<int> lost{0}, pushed{0};
  const auto ask = [&](const Ask& what) { return registry.ask(what).status; };
  const auto push_images = [&](int number) {
    const std::string repository = "r" + std::to_string(number % 2);
    for (int round = 0; round < 25; ++round) {
      const std::string layer = "layer " + std::to_string(round % 3);
      for (const std::string& blob : {std::string("{}"), layer})
        (void)ask(
            {"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest_of(blob), blob});
      const std::string tag = "t" + std::to_string(number) + "." + std::to_string(round);
      const std::string text = manifest_of({"{}", layer});
      const int put = ask({"PUT", "/v2/" + repository + "/manifests/" + tag, text});
      if (put == 404) continue;  // collected in between: said, not lost
      if (put != 201) ++lost;
      ++pushed;
      if (ask({"GET", "/v2/" + repository + "/blobs/" + digest_of(layer)}) != 200) ++lost;
      if (ask({"GET", "/v2/" + repository + "/manifests/" + tag}) != 200) ++lost;
    }
  };
  std::jthread collector([&] {
    while (!over) (void)registry.registry().collect(Clock::system().now(), hours(24));
  });
  {
    std::vector<std::jthread> pushers;
    for (int i = 0; i < 3; ++i) pushers.emplace_back(push_images, i);
  }
  over = true;
  collector.join();
  EXPECT_EQ(lost, 0);
  EXPECT_GT(pushed, 0);
  std::vector<std::string> told;
  const FsckReport report = must(check_storage(
      registry.storage(), Repair::kNo, [&](const std::string& line) { told.push_back(line); }, {}));
  EXPECT_EQ(report.problems, 0U) << join(told, "\n");
}

TEST_F(CollectTest, FsckFindsDamageAndRepairsWhatItCan) {
  push("a", "{}");
  push("a", "layer");
  EXPECT_EQ(put("a/manifests/1", manifest_of({"{}", "layer"})), 201);
  const FsckReport clean = fsck(Repair::kNo);
  EXPECT_EQ(clean.blobs, 3U);
  EXPECT_EQ(clean.problems, 0U) << join(told_, "\n");
  must(write_file(blob_file("layer"), "LAYER"));
  must(write_file(registry_.path("store/repositories/a/tags/dangling"), digest_of("none")));
  EXPECT_EQ(fsck(Repair::kNo).problems, 2U);
  EXPECT_THAT(told_, Contains(HasSubstr("tag \"a:dangling\" leads to no manifest")));
  EXPECT_THAT(told_, Contains(HasSubstr("blob " + digest_of("layer") + " is damaged: ")));
  // Damaged, then held but absent, then missed by its manifest, which stays.
  const FsckReport repaired = fsck(Repair::kYes);
  EXPECT_EQ(repaired.problems, 4U) << join(told_, "\n");
  EXPECT_EQ(repaired.repaired, 3U);
  EXPECT_EQ(get("a/blobs/" + digest_of("layer")), 404);
  EXPECT_TRUE(
      must(exists(registry_.path("store/quarantine/sha256-") + digest_of("layer").substr(7))));
  push("a", "layer");
  EXPECT_EQ(fsck(Repair::kNo).problems, 0U) << join(told_, "\n");
}

}  // namespace
}  // namespace kiln::server
