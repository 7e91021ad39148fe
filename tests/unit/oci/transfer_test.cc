#include "oci/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "oci/image.h"
#include "oci/image_store.h"
#include "registry_fixture.h"
#include "store_fixture.h"

namespace kiln::oci {
namespace {

using testing::HasSubstr;

class TransferTest : public testing::Test {
 protected:
  Result<Descriptor> pull(const std::string& name = "/app:latest") {
    RegistryAccess access{http_.get(), &credentials_, nullptr, std::chrono::milliseconds(1)};
    return pull_image(access, *f_.content, *f_.lease,
                      Reference::parse(registry_.host() + name).value(), platform_, {on_transfer_},
                      {});
  }
  void log_in(const std::string& entry) {
    credentials_ =
        CredentialStore::parse(R"({"auths":{")" + registry_.host() + "\":" + entry + "}}").value();
  }
  bool complete(const Descriptor& image) {
    const auto blobs = reachable_blobs(*f_.content, image).value();
    return std::ranges::all_of(blobs,
                               [&](const Digest& d) { return f_.content->size(d)->has_value(); });
  }
  bool stored_nothing() {
    const Root root = Root::open(f_.content->directory() + "/blobs/sha256").value();
    return list_dir(root.fd()).value().empty();
  }

  StoreFixture f_;
  ImageRegistry registry_;
  CredentialStore credentials_;
  Platform platform_{"linux", "amd64", ""};
  OnTransfer on_transfer_;
  std::unique_ptr<HttpClient> http_ = HttpClient::create("kiln-test");
};

TEST_F(TransferTest, PullsAnImageByTagWithAllItsBlobs) {
  const Descriptor image = registry_.add_image("a");
  registry_.tag("latest", image);
  std::mutex mutex;
  std::map<Digest, uint64_t> done;
  on_transfer_ = [&](const Descriptor& blob, uint64_t bytes) {
    const std::lock_guard lock(mutex);
    done[blob.digest] = bytes;
  };
  EXPECT_EQ(pull().value(), image);
  EXPECT_TRUE(complete(image));
  EXPECT_EQ(done.size(), 3U);
  for (const auto& [digest, bytes] : done) EXPECT_EQ(bytes, f_.content->size(digest).value());
}

TEST_F(TransferTest, WhatIsHereIsNotAskedForAgain) {
  registry_.tag("latest", registry_.add_image("a"));
  ASSERT_TRUE(pull());
  ASSERT_TRUE(pull());
  EXPECT_EQ(registry_.asked("/blobs/"), 3U);
}

TEST_F(TransferTest, TakesThePlatformFromAnIndexAndLeavesTheOthers) {
  Index index;
  Descriptor mine = registry_.add_image("mine"), other = registry_.add_image("other");
  mine.platform = platform_;
  other.platform = Platform{"linux", "arm64", ""};
  Descriptor attestation = other;
  attestation.platform = Platform{"unknown", "unknown", ""};
  index.manifests = {attestation, other, mine};
  const Descriptor root = registry_.add_document(index.media_type, to_json_text(index));
  registry_.tag("latest", root);
  EXPECT_EQ(pull().value(), root);
  EXPECT_TRUE(f_.content->size(mine.digest).value());
  EXPECT_FALSE(f_.content->size(other.digest).value());

  platform_.architecture = "s390x";
  const auto missing = pull();
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_THAT(missing.error().advice(), HasSubstr("linux/amd64, linux/arm64"));
}

TEST_F(TransferTest, ADigestPinsTheManifest) {
  const Descriptor image = registry_.add_image("a");
  EXPECT_EQ(pull("/app@" + image.digest.to_string()).value().digest, image.digest);
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/manifests/") == std::string::npos) return std::nullopt;
    return fake::Response{.body = "{}"};
  };
  EXPECT_EQ(pull("/app@" + image.digest.to_string()).error().code(), Code::kDataLoss);
}

TEST_F(TransferTest, ABlobThatIsNotWhatItsDigestSaysIsNotStored) {
  registry_.tag("latest", registry_.add_image("a"));
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/blobs/") == std::string::npos) return std::nullopt;
    return fake::Response{.body = std::string(11, 'e')};
  };
  const auto pulled = pull();
  ASSERT_FALSE(pulled);
  EXPECT_TRUE(pulled.error().code() == Code::kDataLoss ||
              pulled.error().code() == Code::kUnavailable);
  EXPECT_TRUE(stored_nothing());
}

TEST_F(TransferTest, ABodyLongerThanItsDescriptorIsCutOff) {
  registry_.tag("latest", registry_.add_image("a"));
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/blobs/") == std::string::npos) return std::nullopt;
    return fake::Response{.body = std::string(4'000'000, 'e')};
  };
  EXPECT_EQ(pull().error().code(), Code::kDataLoss);
}

TEST_F(TransferTest, AnOversizedManifestIsRefused) {
  registry_.tag("latest",
                registry_.add_document(media_type::kManifest, std::string((4U << 20U) + 1, ' ')));
  EXPECT_EQ(pull().error().code(), Code::kResourceExhausted);
}

TEST_F(TransferTest, ABrokenDownloadResumesWhereItStopped) {
  registry_.tag("latest", registry_.add_image("a"));
  std::atomic<int> broken = 0;
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/blobs/") == std::string::npos || broken >= 2) return std::nullopt;
    if (request.header("range")) return std::nullopt;
    ++broken;
    return fake::Response{
        .body = "a layer one of some bytes", .fault = fake::Fault::kReset, .fault_after = 0};
  };
  EXPECT_TRUE(complete(pull().value()));

  registry_.hook = nullptr;
  const std::string bytes(500'000, 'z');
  const Descriptor blob = registry_.add(media_type::kLayerTar, bytes);
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/blobs/") == std::string::npos || request.header("range"))
      return std::nullopt;
    return fake::Response{.body = bytes, .fault = fake::Fault::kClose, .fault_after = 200'000};
  };
  const RegistryAccess access{http_.get(), nullptr, nullptr, std::chrono::milliseconds(1)};
  const Reference name = Reference::parse(registry_.host() + "/app").value();
  auto repository = Repository::open(access, name, {}).value();
  StringSink sink;
  ASSERT_TRUE(repository->blob(blob, sink, {}, {}));
  EXPECT_EQ(sink.data(), bytes);
  EXPECT_EQ(registry_.server().requests().back().header("range"), "bytes=200000-");
}

TEST_F(TransferTest, AServerWithoutRangesIsReadFromTheStartAgain) {
  const std::string bytes(500'000, 'z');
  const Descriptor blob = registry_.add(media_type::kLayerTar, bytes);
  std::atomic<int> count = 0;
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/blobs/") == std::string::npos) return std::nullopt;
    if (++count > 1) return fake::Response{.body = bytes};
    return fake::Response{.body = bytes, .fault = fake::Fault::kClose, .fault_after = 200'000};
  };
  const RegistryAccess access{http_.get(), nullptr, nullptr, std::chrono::milliseconds(1)};
  auto repository =
      Repository::open(access, Reference::parse(registry_.host() + "/app").value(), {}).value();
  StringSink sink;
  ASSERT_TRUE(repository->blob(blob, sink, {}, {}));
  EXPECT_EQ(sink.data(), bytes);
}

TEST_F(TransferTest, WhatIsUnavailableIsAskedForThreeTimesMoreAndNoOftener) {
  registry_.tag("latest", registry_.add_image("a"));
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path == "/v2/") return std::nullopt;
    return fake::Response{.status = 503, .body = R"({"errors":[{"message":"maintenance"}]})"};
  };
  const auto pulled = pull();
  EXPECT_EQ(pulled.error().code(), Code::kUnavailable);
  EXPECT_THAT(pulled.error().message(), HasSubstr("maintenance"));
  EXPECT_EQ(registry_.asked("/manifests/"), 4U);
}

TEST_F(TransferTest, WhatPassesAtAnyStepIsOvercome) {
  using fake::FakeRegistry;
  const std::pair<const char*, FakeRegistry::Act> troubles[] = {
      {"503", FakeRegistry::status(503)},
      {"429", FakeRegistry::status(429, {{"Retry-After", "0"}})},
      {"lost", FakeRegistry::lose_request()},
      {"cut", FakeRegistry::cut_after(10)}};
  int n = 0;
  for (const char* step : {"/manifests/", "/blobs/"}) {
    for (const auto& [trouble, act] : troubles) {
      const Descriptor image = registry_.add_image(std::to_string(++n));
      registry_.tag("latest", image);
      registry_.script("GET", step, act);
      const auto pulled = pull();
      ASSERT_TRUE(pulled) << step << trouble << ": " << pulled.error().to_string();
      EXPECT_TRUE(complete(*pulled)) << step << trouble;
    }
  }
}

TEST_F(TransferTest, WhatIsNotThereIsAskedForOnce) {
  const auto pulled = pull("/app:nope");
  EXPECT_EQ(pulled.error().code(), Code::kNotFound);
  EXPECT_THAT(pulled.error().message(), HasSubstr("not known here"));
  EXPECT_EQ(registry_.asked("/manifests/"), 1U);
}

TEST_F(TransferTest, ARefusalWithoutALengthIsQuotedAndALongOneCut) {
  std::string said = R"({"errors":[{"code":"DENIED","message":"not for you"}]})";
  registry_.hook = [&](const fake::Request&) -> std::optional<fake::Response> {
    return fake::Response{.raw = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n" + said};
  };
  EXPECT_THAT(pull().error().message(), HasSubstr("HTTP status 403: not for you"));
  said.assign(300'000, 'x');
  EXPECT_EQ(pull().error().code(), Code::kPermissionDenied);
}

TEST_F(TransferTest, ATokenServersRefusalIsQuoted) {
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path == "/token")
      return fake::Response{.status = 401, .body = R"({"details":"incorrect username"})"};
    return fake::Response{
        .status = 401,
        .headers = {
            {"WWW-Authenticate", "Bearer realm=\"" + registry_.server().url("/token") + "\""}}};
  };
  EXPECT_THAT(pull().error().message(), HasSubstr("HTTP status 401: incorrect username"));
}

TEST_F(TransferTest, BasicCredentialsAnswerABasicChallenge) {
  registry_.tag("latest", registry_.add_image("a"));
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.header("authorization") == "Basic dTpw") return std::nullopt;
    return fake::Response{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  };
  const auto anonymous = pull();
  EXPECT_EQ(anonymous.error().code(), Code::kUnauthenticated);
  EXPECT_THAT(anonymous.error().advice(), HasSubstr("kiln login"));
  log_in(R"({"username":"u","password":"p"})");
  EXPECT_TRUE(pull()) << pull().error().to_string();
}

TEST_F(TransferTest, ATokenIsFetchedOnceAndUsedForAll) {
  registry_.tag("latest", registry_.add_image("a"));
  log_in(R"({"username":"u","password":"p"})");
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path == "/token") {
      EXPECT_EQ(request.header("authorization"), "Basic dTpw");
      EXPECT_THAT(request.query, HasSubstr("service=me&scope=repository%3Aapp%3Apull&account=u"));
      return fake::Response{.body = R"({"token":"secret"})"};
    }
    if (request.header("authorization") == "Bearer secret") return std::nullopt;
    return fake::Response{
        .status = 401,
        .headers = {{"WWW-Authenticate",
                     "Bearer realm=\"" + registry_.server().url("/token") + "\",service=\"me\""}}};
  };
  EXPECT_TRUE(pull());
  EXPECT_EQ(registry_.asked("/token"), 1U);
}

TEST_F(TransferTest, ARefreshTokenIsPostedAndNotPutIntoTheUrl) {
  registry_.tag("latest", registry_.add_image("a"));
  log_in(R"({"identitytoken":"refresh"})");
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path == "/token") {
      EXPECT_EQ(request.method, "POST");
      EXPECT_EQ(request.query, "");
      EXPECT_THAT(request.body, HasSubstr("refresh_token=refresh"));
      return fake::Response{.body = R"({"access_token":"secret"})"};
    }
    if (request.header("authorization") == "Bearer secret") return std::nullopt;
    return fake::Response{
        .status = 401,
        .headers = {
            {"WWW-Authenticate", "Bearer realm=\"" + registry_.server().url("/token") + "\""}}};
  };
  EXPECT_TRUE(pull());
}

TEST_F(TransferTest, ARedirectElsewhereTakesNoCredentialsAlong) {
  const Descriptor image = registry_.add_image("a");
  registry_.tag("latest", image);
  log_in(R"({"username":"u","password":"p"})");
  ImageRegistry storage;
  (void)storage.add_image("a");
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (!request.header("authorization")) {
      return fake::Response{.status = 401, .headers = {{"WWW-Authenticate", "Basic"}}};
    }
    if (request.path.find("/blobs/") == std::string::npos) return std::nullopt;
    return fake::Response{.status = 307,
                          .headers = {{"Location", storage.server().url(request.target)}}};
  };
  EXPECT_TRUE(pull());
  const auto seen = storage.server().requests();
  EXPECT_EQ(seen.size(), 3U);
  for (const auto& request : seen) EXPECT_FALSE(request.header("authorization"));
}

TEST_F(TransferTest, AChallengeFromElsewhereIsNotAnswered) {
  registry_.tag("latest", registry_.add_image("a"));
  log_in(R"({"username":"u","password":"p"})");
  ImageRegistry evil;
  evil.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    EXPECT_FALSE(request.header("authorization"));
    return fake::Response{.status = 401, .headers = {{"WWW-Authenticate", "Basic"}}};
  };
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/blobs/") == std::string::npos) return std::nullopt;
    return fake::Response{.status = 302, .headers = {{"Location", evil.server().url("/x")}}};
  };
  EXPECT_EQ(pull().error().code(), Code::kUnauthenticated);
  EXPECT_GT(evil.server().requests().size(), 0U);
}

TEST_F(TransferTest, EndlessRedirectsEnd) {
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    return fake::Response{.status = 302, .headers = {{"Location", request.target}}};
  };
  EXPECT_FALSE(pull());
}

TEST_F(TransferTest, AnArtifactIsNotAnImage) {
  registry_.tag("latest",
                registry_.add_document("application/vnd.example+json",
                                       R"({"mediaType":"application/vnd.example+json"})"));
  EXPECT_EQ(pull().error().code(), Code::kUnimplemented);
}

TEST_F(TransferTest, NobodyThereIsUnavailable) {
  const RegistryAccess access{http_.get(), nullptr, nullptr, std::chrono::milliseconds(1)};
  const auto pulled = pull_image(access, *f_.content, *f_.lease,
                                 Reference::parse("127.0.0.1:1/app").value(), platform_, {}, {});
  EXPECT_EQ(pulled.error().code(), Code::kUnavailable);
  EXPECT_THAT(pulled.error().message(), HasSubstr("pull \"127.0.0.1:1/app"));
}

TEST_F(TransferTest, AStopEndsWaitingAtOnce) {
  registry_.tag("latest", registry_.add_image("a"));
  std::stop_source stop;
  registry_.hook = [&](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path == "/v2/") return std::nullopt;
    stop.request_stop();
    return fake::Response{.status = 503, .headers = {{"Retry-After", "60"}}};
  };
  const RegistryAccess access{http_.get(), nullptr, nullptr, std::chrono::seconds(60)};
  const auto pulled = pull_image(access, *f_.content, *f_.lease,
                                 Reference::parse(registry_.host() + "/app").value(), platform_, {},
                                 stop.get_token());
  EXPECT_EQ(pulled.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace kiln::oci
