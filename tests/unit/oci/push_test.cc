#include "oci/push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "registry_fixture.h"
#include "store_fixture.h"

namespace kiln::oci {
namespace {

using fake::FakeRegistry;
using testing::HasSubstr;

class PushTest : public testing::Test {
 protected:
  Descriptor stored(std::string_view type, const std::string& text) {
    const Digest digest = write_blob(*f_.content, *f_.lease, text).value();
    return Descriptor{std::string(type), digest, text.size(), std::nullopt, {}};
  }
  // A config, a small layer and one that goes in PATCHes.
  Descriptor image(const std::string& about = "a") {
    Manifest manifest{std::string(media_type::kManifest),
                      stored(media_type::kConfig, R"({"about":")" + about + "\"}"),
                      {},
                      {}};
    big_ = stored(media_type::kLayerTar, about + std::string(5U << 20U, 'x'));
    manifest.layers = {stored(media_type::kLayerGzip, about + " small"), *big_};
    return stored(manifest.media_type, to_json_text(manifest));
  }
  RegistryAccess access() {
    return {http_.get(), &credentials_, nullptr, std::chrono::milliseconds(1)};
  }
  Status push(const Descriptor& what, BlobOrigins origins = {}) {
    const Reference name = Reference::parse(registry_.host() + "/app:v1").value();
    KILN_TRY_ASSIGN(const auto push,
                    ImagePush::open(access(), *f_.content, {what, name, std::move(origins)}, {}));
    PushEvents events;
    events.on_transfer = [this](const Descriptor& blob, uint64_t done) {
      const std::lock_guard lock(mutex_);
      sent_[blob.digest] = done;
    };
    events.on_done = [this](const Descriptor&, const Upload& how) {
      const std::lock_guard lock(mutex_);
      ++outcomes_[how.outcome];
    };
    KILN_TRY(push->send(events, {}));
    EXPECT_FALSE(registry_.manifest("app", "v1")) << "the name is given last";
    return push->tag("v1", {});
  }
  // All that `what` refers to is in the registry, byte for byte.
  void expect_pushed(const Descriptor& what) {
    EXPECT_EQ(registry_.manifest("app", "v1"),
              read_blob(*f_.content, what.digest, 1U << 20U).value());
    for (const Digest& digest : blobs_of(what)) {
      const std::string name = digest.to_string();
      const auto there = registry_.blob("app", name);
      const auto document = registry_.manifest("app", name);
      EXPECT_EQ(there ? *there : document.value_or("absent"),
                read_blob(*f_.content, digest, 8U << 20U).value());
    }
    EXPECT_EQ(registry_.open_uploads(), 0U);
  }
  std::vector<Digest> blobs_of(const Descriptor& what) {
    return reachable_blobs(*f_.content, what).value();
  }
  void log_in(const std::string& entry) {
    credentials_ =
        CredentialStore::parse(R"({"auths":{")" + registry_.host() + "\":" + entry + "}}").value();
  }

  StoreFixture f_;
  ImageRegistry registry_;
  CredentialStore credentials_;
  std::unique_ptr<HttpClient> http_ = HttpClient::create("kiln-test");
  std::optional<Descriptor> big_;
  std::mutex mutex_;  // the two below
  std::map<Digest, uint64_t> sent_;
  std::map<UploadOutcome, int> outcomes_;
};

TEST_F(PushTest, SendsBlobsThenManifestThenName) {
  const Descriptor what = image();
  ASSERT_TRUE(push(what)) << push(what).error().to_string();
  expect_pushed(what);
  EXPECT_EQ(outcomes_[UploadOutcome::kSent], 3);
  for (const auto& [digest, bytes] : sent_) EXPECT_EQ(bytes, f_.content->size(digest).value());
  const auto requests = registry_.server().requests();
  size_t last_blob = 0, first_manifest = requests.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].method != "PUT") continue;
    if (requests[i].path.find("/manifests/") != std::string::npos)
      first_manifest = std::min(first_manifest, i);
    else
      last_blob = i;
  }
  EXPECT_LT(last_blob, first_manifest);
}

TEST_F(PushTest, WhatIsThereIsNotSentAgain) {
  const Descriptor what = image();
  ASSERT_TRUE(push(what));
  registry_.script("PUT", "/manifests/v1", FakeRegistry::status(200));
  const size_t uploads = registry_.asked("/uploads/");
  const Reference name = Reference::parse(registry_.host() + "/app").value();
  const auto again = ImagePush::open(access(), *f_.content, {what, name}, {}).value();
  ASSERT_TRUE(again->send({}, {}));
  EXPECT_EQ(registry_.asked("/uploads/"), uploads);
}

TEST_F(PushTest, AnIndexFollowsItsManifests) {
  Index index;
  index.manifests = {image("one"), image("two")};
  const Descriptor what = stored(index.media_type, to_json_text(index));
  ASSERT_TRUE(push(what));
  expect_pushed(what);
}

TEST_F(PushTest, ManifestsThatAreNotHereMustBeThere) {
  Index index;
  Descriptor other{std::string(media_type::kManifest),
                   Digest::of("other"),
                   5,
                   Platform{"linux", "arm64", ""},
                   {}};
  index.manifests = {image(), other};
  const Descriptor what = stored(index.media_type, to_json_text(index));
  const Status refused = push(what);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("linux/arm64"));
  EXPECT_EQ(registry_.asked("/uploads/"), 0U) << "said before anything is sent";
  (void)registry_.add_document(media_type::kManifest, "other");
  EXPECT_TRUE(push(what));
}

TEST_F(PushTest, BlobsOfAnotherRepositoryAreMounted) {
  const Descriptor what = image();
  for (const Digest& digest : blobs_of(what))
    (void)registry_.add_blob("base", read_blob(*f_.content, digest, 8U << 20U).value());
  ASSERT_TRUE(f_.content);
  const auto images = ImageStore::open(*f_.database).value();
  ASSERT_TRUE(images->tag(Reference::parse(registry_.host() + "/base:1").value(), what));
  ASSERT_TRUE(images->tag(Reference::parse("elsewhere.example/other:1").value(), what));
  ASSERT_TRUE(push(what, blob_origins(*images, *f_.content, registry_.host()).value()));
  expect_pushed(what);
  EXPECT_EQ(outcomes_[UploadOutcome::kMounted], 3);
  EXPECT_EQ(registry_.asked("/blobs/uploads/", "PUT"), 0U);
}

TEST_F(PushTest, AMountThatIsNoneBecomesAnUpload) {
  const Descriptor what = image();
  ASSERT_TRUE(push(what, {{big_->digest, {"nowhere"}}}));
  expect_pushed(what);
  EXPECT_EQ(outcomes_[UploadOutcome::kSent], 3);
}

TEST_F(PushTest, ABrokenUploadGoesOnWhereTheRegistryHasIt) {
  const Descriptor what = image();
  registry_.script("PATCH", "", registry_.break_after(2'000'000));
  ASSERT_TRUE(push(what));
  expect_pushed(what);
  std::vector<std::string> ranges;
  for (const auto& request : registry_.server().requests())
    if (request.method == "PATCH") ranges.push_back(request.header("content-range").value_or(""));
  const std::string last = std::to_string(big_->size - 1);
  EXPECT_EQ(ranges, (std::vector<std::string>{"0-" + last, "2000000-" + last}));
}

TEST_F(PushTest, ASmallBlobIsOneRequestAfterItsUploadIsOpen) {
  const Descriptor what = image();
  ASSERT_TRUE(push(what));
  EXPECT_EQ(registry_.asked("/uploads/", "PATCH"), 1U);
}

TEST_F(PushTest, TooLongABodyIsSentInParts) {
  Manifest manifest{std::string(media_type::kManifest), stored(media_type::kConfig, "{}"), {}, {}};
  manifest.layers = {stored(media_type::kLayerTar, std::string(17U << 20U, 'y'))};
  const Descriptor what = stored(manifest.media_type, to_json_text(manifest));
  registry_.script("PATCH", "", FakeRegistry::status(413));
  ASSERT_TRUE(push(what));
  EXPECT_EQ(registry_.asked("/uploads/", "PATCH"), 3U);  // refused, 16 and 1 MiB
}

// Every step meets every trouble that may pass; the push does not notice.
struct Trouble {
  const char* name;
  FakeRegistry::Act act;
};
TEST_F(PushTest, WhatPassesAtAnyStepIsOvercome) {
  const std::pair<const char*, const char*> steps[] = {{"HEAD", "/blobs/sha256"},
                                                       {"POST", "/uploads/"},
                                                       {"PATCH", "/uploads/"},
                                                       {"PUT", "/uploads/"},
                                                       {"PUT", "/manifests/"}};
  const Trouble troubles[] = {{"503", FakeRegistry::status(503)},
                              {"429", FakeRegistry::status(429, {{"Retry-After", "0"}})},
                              {"lost request", FakeRegistry::lose_request()},
                              {"lost answer", FakeRegistry::lose_answer()}};
  int n = 0;
  for (const auto& [method, part] : steps) {
    for (const Trouble& trouble : troubles) {
      const Descriptor what = image(std::to_string(++n));
      registry_.script(method, part, trouble.act);
      const Reference name = Reference::parse(registry_.host() + "/app").value();
      const auto one = ImagePush::open(access(), *f_.content, {what, name}, {}).value();
      const Status done = one->send({}, {});
      EXPECT_TRUE(done) << method << " " << trouble.name << ": " << done.error().to_string();
      for (const Digest& digest : blobs_of(what))
        EXPECT_TRUE(registry_.blob("app", digest.to_string()) ||
                    registry_.manifest("app", digest.to_string()))
            << method << " " << trouble.name;
    }
  }
}

TEST_F(PushTest, WhatDoesNotPassEndsAfterThreeRepetitions) {
  registry_.script("POST", "/uploads/", FakeRegistry::status(503), 1000);
  const Status refused = push(image());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kUnavailable);
  EXPECT_LE(registry_.asked("/uploads/", "POST"), 12U);  // four for each of three blobs
  EXPECT_EQ(registry_.asked("/manifests/", "PUT"), 0U);
}

// What the registry says of itself is not believed.
TEST_F(PushTest, LiesAreNotBelieved) {
  const std::string wrong = Digest::of("something else").to_string();
  struct Lie {
    const char *method, *part;
    FakeRegistry::Act act;
  };
  const Lie lies[] = {
      {"PUT", "/uploads/", FakeRegistry::with_header("Docker-Content-Digest", wrong)},
      {"PUT", "/manifests/", FakeRegistry::with_header("Docker-Content-Digest", wrong)},
      {"PATCH", "/uploads/", FakeRegistry::with_header("Range", "0-99999999")}};
  int n = 0;
  for (const Lie& lie : lies) {
    registry_.script(lie.method, lie.part, lie.act, 10);
    const Status refused = push(image("lie" + std::to_string(++n)));
    ASSERT_FALSE(refused) << lie.method << lie.part;
    EXPECT_EQ(refused.error().code(), Code::kDataLoss) << refused.error().to_string();
    EXPECT_FALSE(registry_.manifest("app", "v1"));
    registry_.script(lie.method, lie.part, lie.act, 0);
  }
}

TEST_F(PushTest, ABlobOfAnotherLengthOrDigestIsNotThere) {
  const Descriptor blob = registry_.add(media_type::kLayerTar, "bytes");
  const Reference name = Reference::parse(registry_.host() + "/app").value();
  const auto repository = Repository::open(access(), name, {}, RegistryRights::kPush).value();
  EXPECT_TRUE(repository->has_blob(blob, {}).value());
  registry_.script("HEAD", "/blobs/", FakeRegistry::with_header("Content-Length", "4"));
  EXPECT_FALSE(repository->has_blob(blob, {}).value());
  registry_.script(
      "HEAD", "/blobs/",
      FakeRegistry::with_header("Docker-Content-Digest", Digest::of("others").to_string()));
  EXPECT_FALSE(repository->has_blob(blob, {}).value());
}

TEST_F(PushTest, ADamagedBlobIsNotPushed) {
  const Descriptor what = image();
  ASSERT_TRUE(write_file(f_.blob_path(big_->digest), std::string(big_->size, 'z')));
  // As another process would find it, which has not written it.
  f_.content =
      LocalContentStore::open(*f_.database, *f_.leases, f_.root.path() + "/content").value();
  const Status refused = push(what);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kDataLoss) << refused.error().to_string();
  EXPECT_THAT(refused.error().message(), HasSubstr("is corrupt on disk"));
  EXPECT_FALSE(registry_.blob("app", big_->digest.to_string()));
  EXPECT_FALSE(f_.content->size(big_->digest).value()) << "it is put aside";
}

TEST_F(PushTest, TokensAreAskedForPushAndRenewedWhenTheyExpire) {
  registry_.require_tokens("u", "p", 4);
  const Status anonymous = push(image());
  ASSERT_FALSE(anonymous);
  EXPECT_EQ(anonymous.error().code(), Code::kUnauthenticated);
  EXPECT_THAT(anonymous.error().advice(), HasSubstr("kiln login"));
  log_in(R"({"username":"u","password":"p"})");
  const Descriptor what = image();
  const Status done = push(what);
  ASSERT_TRUE(done) << done.error().to_string();
  expect_pushed(what);
  EXPECT_GT(registry_.asked("/token"), 2U);
  for (const auto& request : registry_.server().requests()) {
    if (request.path != "/token") continue;
    EXPECT_THAT(request.query, HasSubstr("scope=repository%3Aapp%3Apull%2Cpush"));
  }
}

TEST_F(PushTest, AMountAsksForTheRightToReadTheOrigin) {
  registry_.require_tokens("u", "p");
  log_in(R"({"identitytoken":"identity"})");
  const Descriptor what = image();
  (void)registry_.add_blob("base", read_blob(*f_.content, big_->digest, 8U << 20U).value());
  ASSERT_TRUE(push(what, {{big_->digest, {"base"}}}));
  expect_pushed(what);
  EXPECT_EQ(outcomes_[UploadOutcome::kMounted], 1);
  std::string scopes;
  for (const auto& request : registry_.server().requests()) {
    if (request.path == "/token") scopes += request.body + "\n";
  }
  EXPECT_THAT(scopes, HasSubstr("scope=repository%3Aapp%3Apull%2Cpush%20repository%3Abase%3Apull"));
}

TEST_F(PushTest, AnUploadThatMovesElsewhereTakesNoCredentialsAlong) {
  registry_.require_basic("u", "p");
  log_in(R"({"username":"u","password":"p"})");
  ImageRegistry storage;
  (void)storage.add_blob("app", "");
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.method != "POST") return std::nullopt;
    return fake::Response{
        .status = 202, .headers = {{"Location", storage.server().url("/store/" + request.path)}}};
  };
  storage.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    EXPECT_FALSE(request.header("authorization"));
    return fake::Response{.status = request.method == "PATCH" ? 202 : 201};
  };
  const Descriptor what = image();
  const Status done = push(what);
  EXPECT_EQ(storage.asked("/store/", "PUT"), 3U);
  EXPECT_FALSE(done) << "the manifest names blobs that never came";
}

TEST_F(PushTest, TagsAreListedOverPagesAndManifestsRemoved) {
  const Descriptor what = registry_.add_image("a");
  registry_.tag("b", what);
  registry_.tag("a", what);
  registry_.hook = [](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.target != "/v2/app/tags/list") return std::nullopt;
    return fake::Response{.headers = {{"Link", "</v2/app/tags/list?last=z>; rel=\"next\""}},
                          .body = R"({"tags":["z"]})"};
  };
  const Reference name = Reference::parse(registry_.host() + "/app").value();
  const auto repository = Repository::open(access(), name, {}, RegistryRights::kPush).value();
  EXPECT_EQ(repository->tags({}).value(), (std::vector<std::string>{"a", "b", "z"}));
  registry_.hook = nullptr;
  (void)registry_.add_manifest("app", "", "x", "../../evil");
  EXPECT_EQ(repository->tags({}).error().code(), Code::kDataLoss);
  EXPECT_TRUE(repository->has_manifest(what.digest, {}).value());
  ASSERT_TRUE(repository->remove_manifest(what.digest, {}));
  EXPECT_FALSE(repository->has_manifest(what.digest, {}).value());
}

}  // namespace
}  // namespace kiln::oci
