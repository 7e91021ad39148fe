#include "cache/server/eviction.h"

#include <gmock/gmock.h>

#include "base/clock.h"
#include "cache/entry_manifest.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using std::chrono::hours;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

class EvictionTest : public testing::Test {
 protected:
  oci::Descriptor push(const std::string& repository, const std::string& bytes) {
    const std::string target = "/v2/" + repository + "/blobs/uploads/?digest=" + digest_of(bytes);
    EXPECT_EQ(registry_.ask({"POST", target, bytes}).status, 201);
    return {"application/x", Digest::of(bytes), bytes.size(), std::nullopt, {}};
  }
  // `key` is one character.
  static std::string tag(char key) { return "main." + std::string(64, key); }
  std::string put(const std::string& repository, const std::string& tag,
                  const std::vector<oci::Descriptor>& blobs) {
    (void)push(repository, "{}");
    const std::string text = cache::entry_manifest({{Digest::of(tag)}, "entry of " + tag, blobs});
    EXPECT_EQ(registry_
                  .ask({"PUT",
                        "/v2/" + repository + "/manifests/" + tag,
                        text,
                        {{"Content-Type", kManifestType}}})
                  .status,
              201);
    return text;
  }
  Evicted evict(const CacheLimits& limits, std::chrono::seconds later = {}) {
    auto evicted = evict_entries(registry_.registry(), limits, Clock::system().now() + later);
    EXPECT_TRUE(evicted) << evicted.error().message;
    return evicted.value_or(Evicted{});
  }
  std::vector<std::string> tags(const std::string& repository) {
    return registry_.registry().tags(repository).value();
  }

  TestRegistry registry_;
};

TEST_F(EvictionTest, OldEntriesGoAndNothingElse) {
  const oci::Descriptor layer = push("app", "layer");
  (void)put("app", tag('a'), {layer});
  (void)put("app", "release", {layer});
  (void)put("app", "main.short", {layer});
  const std::string image = manifest_of({"{}", "layer"});
  ASSERT_EQ(
      registry_
          .ask({"PUT", "/v2/app/manifests/" + tag('b'), image, {{"Content-Type", kManifestType}}})
          .status,
      201);
  EXPECT_EQ(evict({hours(2), {}}, hours(1)).entries, 0);
  const Evicted evicted = evict({hours(2), {}}, hours(3));
  EXPECT_EQ(evicted.entries, 1);
  EXPECT_EQ(evicted.entries_left, 0);
  EXPECT_THAT(tags("app"), UnorderedElementsAre("release", "main.short", tag('b')));
}

TEST_F(EvictionTest, TheLongestUnusedGoWhileThereIsTooMuch) {
  const oci::Descriptor shared = push("app", std::string(10'000, 's'));
  const oci::Descriptor large = push("app", std::string(50'000, 'l'));
  const std::string first = put("app", tag('a'), {shared});
  (void)put("app", tag('b'), {shared, large});
  (void)put("app", tag('c'), {shared});
  const CacheLimits limits{{}, 40'000};
  EXPECT_EQ(evict({{}, 80'000}).entries, 0);
  // The first one is used.
  ASSERT_TRUE(registry_.registry().keep_manifest("app", must(BlobDigest::parse(digest_of(first))),
                                                 Clock::system().now() + hours(1)));
  const Evicted evicted = evict(limits);
  EXPECT_EQ(evicted.entries, 1);
  EXPECT_EQ(evicted.entries_left, 2);
  EXPECT_LT(evicted.bytes_left, 15'000);  // what is shared counts once
  EXPECT_THAT(tags("app"), UnorderedElementsAre(tag('a'), tag('c')));
  EXPECT_EQ(registry_.ask({"GET", "/v2/app/manifests/" + digest_of(first)}).status, 200);
}

TEST_F(EvictionTest, ADamagedEntryKeepsNoOtherOne) {
  const std::string hex = digest_of(put("app", tag('a'), {})).substr(7);
  (void)put("app", tag('b'), {push("app", "layer")});
  must(write_file(registry_.path("store/blobs/sha256/" + hex.substr(0, 2) + "/" + hex), "{"));
  EXPECT_EQ(evict({hours(2), {}}, hours(3)).entries, 1);
  EXPECT_THAT(tags("app"), ElementsAre(tag('a')));
}

TEST_F(EvictionTest, ReachesAllRepositories) {
  (void)put("a", tag('a'), {push("a", "one")});
  (void)put("b/c", tag('a'), {push("b/c", "two")});
  EXPECT_EQ(evict({{}, 1}).entries, 2);
  EXPECT_THAT(tags("a"), ElementsAre());
  EXPECT_THAT(tags("b/c"), ElementsAre());
}

}  // namespace
}  // namespace kiln::server
