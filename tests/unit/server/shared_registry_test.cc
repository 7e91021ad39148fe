// Registries of several servers in one bucket.
#include <gmock/gmock.h>

#include "base/http_client.h"
#include "base/io.h"
#include "cache/server/entry_guard.h"
#include "cache/server/fsck.h"
#include "cache/server/http_server.h"
#include "tests/unit/server/registry_fixture.h"
#include "tests/unit/server/s3_fixture.h"

namespace kiln::server {
namespace {

using fake::code_of;
using fake::FakeS3;
using fake::must;
using std::chrono::milliseconds;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Two servers of one registry.
class SharedRegistryTest : public S3StorageTest {
 protected:
  static ServerConfig config() {
    ServerConfig config = TestRegistry::open_to_all();
    config.collect_grace = std::chrono::hours(2);
    return config;
  }
  static void push(const TestRegistry& registry, const std::string& tag) {
    for (const std::string& blob : std::vector<std::string>{"config-" + tag, layer_of(tag)})
      EXPECT_EQ(
          registry.ask({"POST", "/v2/a/blobs/uploads/?digest=" + digest_of(blob), blob}).status,
          201);
    EXPECT_EQ(
        registry
            .ask(
                {"PUT", "/v2/a/manifests/" + tag, manifest(tag), {{"Content-Type", kManifestType}}})
            .status,
        201);
  }
  static std::string layer_of(const std::string& tag) {
    return "a layer of more than one piece " + tag;
  }
  static std::string manifest(const std::string& tag) {
    return manifest_of({"config-" + tag, layer_of(tag)});
  }
  TestRegistry left_{config(), open()}, right_{config(), open()};
};

TEST_F(SharedRegistryTest, WhatIsPushedThroughOneIsPulledThroughTheOther) {
  push(left_, "v1");
  EXPECT_EQ(right_.ask({"GET", "/v2/a/manifests/v1"}).body, manifest("v1"));
  const std::string layer = layer_of("v1");
  HttpOptions options;
  const auto server = must(HttpServer::start(options, right_.service(), right_.metrics().gauges));
  HttpRequest request;
  request.url =
      "http://127.0.0.1:" + std::to_string(server->port()) + "/v2/a/blobs/" + digest_of(layer);
  StringSink whole, part;
  const auto client = HttpClient::create("kiln-test");
  EXPECT_EQ(must(client->send(request, whole, {})).status, 200);
  EXPECT_EQ(whole.data(), layer);
  request.headers = {{"Range", "bytes=2-6"}};
  EXPECT_EQ(must(client->send(request, part, {})).status, 206);
  EXPECT_EQ(part.data(), "layer");
  server->stop();
  EXPECT_THAT(right_.ask({"GET", "/v2/a/tags/list"}).body, HasSubstr("\"v1\""));
  EXPECT_EQ(right_.ask({"DELETE", "/v2/a/manifests/v1"}).status, 202);
  EXPECT_EQ(left_.ask({"GET", "/v2/a/manifests/v1"}).status, 404);
}

TEST_F(SharedRegistryTest, CollectionTakesWhatNobodyHoldsAndNothingElse) {
  s3_.advance(std::chrono::hours(-3));
  push(left_, "old");
  push(left_, "kept");
  const std::string digest = digest_of(manifest("old"));
  EXPECT_EQ(left_.ask({"DELETE", "/v2/a/manifests/" + digest}).status, 202);
  EXPECT_EQ(right_.service().collect().value().blobs, 0U) << "within the grace";
  s3_.advance(std::chrono::hours(3));
  // Told of by HEAD: the client will not send it.
  const std::string asked = "/v2/a/blobs/" + digest_of("config-old");
  EXPECT_EQ(left_.ask({"HEAD", asked}).status, 200);
  const auto collected = right_.service().collect();
  ASSERT_TRUE(collected);
  EXPECT_EQ(collected->holdings, 1U);
  EXPECT_EQ(collected->blobs, 2U) << "the layer, and the manifest";
  EXPECT_EQ(left_.ask({"GET", asked}).status, 200);
  EXPECT_EQ(left_.ask({"GET", "/v2/a/manifests/kept"}).status, 200);
  EXPECT_THAT(s3_.keys(), Not(Contains(StartsWith("sweeps/"))));
  EXPECT_THAT(s3_.keys(), Not(Contains("collector")));
  push(left_, "old");
  EXPECT_EQ(right_.ask({"GET", "/v2/a/manifests/old"}).status, 200);
}

// It is read back by the server that the bytes did not come through.
TEST_F(SharedRegistryTest, AnUploadsObjectOfAnotherSizeIsTheStoragesFault) {
  const std::string bytes(50, 'u');
  const std::string at = left_.ask({"POST", "/v2/a/blobs/uploads/"}).header("location");
  ASSERT_EQ(left_.ask({"PATCH", at, bytes}).status, 202);
  const Ask end{"PUT", at + "?digest=" + digest_of(bytes)};
  for (const size_t size : {3, 30}) {
    s3_.set_fault([size](const fake::Request& request) -> std::optional<fake::Response> {
      if (request.method != "GET" || request.path.find("/uploads/") == std::string::npos)
        return std::nullopt;
      return fake::Response{200, {}, std::string(size, 'u')};
    });
    EXPECT_EQ(right_.ask(end).status, 503) << size;
  }
  s3_.set_fault({});
  EXPECT_EQ(right_.ask({"PUT", at + "?digest=" + digest_of("other")}).status, 400);
  EXPECT_EQ(right_.ask(end).status, 201);
}

// Between the look at it and the touch another server's collection took it away.
TEST_F(SharedRegistryTest, WhatVanishesWhileItIsTouchedIsUnknownAndSentAgain) {
  s3_.advance(std::chrono::hours(-3));
  push(left_, "v1");
  s3_.advance(std::chrono::hours(3));
  const std::string layer = digest_of(layer_of("v1"));
  const auto is_about = [hex = digest(layer_of("v1")).hex()](const fake::Request& request) {
    return request.path.find(hex) != std::string::npos;
  };
  s3_.set_fault([=](const fake::Request& request) -> std::optional<fake::Response> {
    if (!is_about(request) || !request.header("x-amz-copy-source")) return std::nullopt;
    return FakeS3::error(404, "NoSuchKey");
  });
  EXPECT_EQ(left_.ask({"HEAD", "/v2/a/blobs/" + layer}).status, 404);
  const Reply put = left_.ask({"PUT", "/v2/a/manifests/v2", manifest("v1")});
  EXPECT_EQ(put.status, 404);
  EXPECT_EQ(put.code(), "MANIFEST_BLOB_UNKNOWN");
  const auto looks = std::make_shared<std::atomic<int>>(0);
  s3_.set_fault([=](const fake::Request& request) -> std::optional<fake::Response> {
    const bool is_blob = request.path.find("/blobs/sha256/") != std::string::npos;
    if (!is_about(request) || !is_blob || request.method != "HEAD" || ++*looks < 2)
      return std::nullopt;
    return FakeS3::error(404, "");
  });
  const Reply mount = left_.ask({"POST", "/v2/b/blobs/uploads/?from=a&mount=" + layer});
  EXPECT_EQ(mount.status, 202);
  EXPECT_EQ(*looks, 2);
}

// The first listing is what the bucket held before the other server's bytes were there.
TEST_F(SharedRegistryTest, ARangeThatAnotherRequestFilledMeanwhileIsNotAppended) {
  const std::string bytes(20, 'r');
  const std::string at = left_.ask({"POST", "/v2/a/blobs/uploads/"}).header("location");
  const Ask patch{"PATCH", at, bytes, {{"Content-Range", "0-19"}}};
  ASSERT_EQ(left_.ask(patch).status, 202);
  const auto listings = std::make_shared<std::atomic<int>>(0);
  s3_.set_fault([=](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.query.find("list-type") == std::string::npos || ++*listings > 1)
      return std::nullopt;
    const std::string id = at.substr(at.rfind('/') + 1);
    return fake::Response{200,
                          {},
                          "<ListBucketResult><Contents><Key>uploads/" + id +
                              "/of/a</Key><Size>0</Size><LastModified>2026-01-01T00:00:00.000Z"
                              "</LastModified></Contents></ListBucketResult>"};
  });
  const Reply again = right_.ask(patch);
  EXPECT_EQ(again.status, 416);
  EXPECT_EQ(again.header("range"), "0-19");
  s3_.set_fault({});
  EXPECT_EQ(left_.ask({"GET", at}).header("range"), "0-19");
}

TEST_F(SharedRegistryTest, ThatTheBucketIsSetUpWronglyIsForTheLogAndNotForClients) {
  push(left_, "v1");
  s3_.set_skewed(true);
  const Reply reply = left_.ask({"GET", "/v2/a/manifests/v1"});
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.body, Not(HasSubstr(FakeS3::kBucket)));
}

TEST_F(SharedRegistryTest, AnEntryThatCannotBeReadJustNowIsNotReplaced) {
  const std::string tag = "main." + std::string(64, 'a');
  EXPECT_TRUE(check_entry_stays(left_.registry(), "a", tag, "{}"));
  s3_.set_fault([](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path.find("/tags/") == std::string::npos) return std::nullopt;
    return FakeS3::error(503, "SlowDown");
  });
  EXPECT_EQ(check_entry_stays(left_.registry(), "a", tag, "{}").error().status, 503);
}

TEST_F(SharedRegistryTest, ReadinessCostsOneRequestAndTellsOfTheBucketsFaults) {
  for (const char* name : {"a", "b", "c", "d", "e"})
    must(one_->put_record({name, RecordKind::kTag, "t"}, "x"));
  const size_t before = s3_.count("GET");
  EXPECT_EQ(left_.ask({"GET", "/readyz"}).status, 200);
  EXPECT_EQ(s3_.count("GET"), before + 1);
  s3_.set_fault([](const fake::Request&) { return FakeS3::error(503, "SlowDown"); });
  EXPECT_EQ(left_.ask({"GET", "/readyz"}).status, 503);
  EXPECT_EQ(s3_.count("GET"), before + 2) << "whoever asks will ask again";
  s3_.set_fault([](const fake::Request&) { return FakeS3::error(403, "AccessDenied"); });
  EXPECT_EQ(left_.ask({"GET", "/readyz"}).status, 503);
  s3_.set_fault({});
  EXPECT_EQ(left_.ask({"GET", "/readyz"}).status, 200);
}

/// What a check of the bucket tells, and what happens when it does.
class S3CheckTest : public SharedRegistryTest {
 protected:
  FsckReport check(Repair repair, const std::function<void(const std::string&)>& then = {}) {
    told_.clear();
    const auto tell = [&](const std::string& line) {
      told_.push_back(line);
      if (then) then(line);
    };
    return must(check_storage(*one_, repair, tell, {}));
  }
  std::vector<std::string> told_;
};

TEST_F(S3CheckTest, WhatAnotherServerTakesAwayMeanwhileIsNoProblem) {
  push(left_, "v1");
  s3_.set_fault([gone = digest("config-v1").hex()](
                    const fake::Request& request) -> std::optional<fake::Response> {
    if (request.method != "GET" || request.path.find(gone) == std::string::npos)
      return std::nullopt;
    return FakeS3::error(404, "NoSuchKey");
  });
  const FsckReport report = check(Repair::kNo);
  EXPECT_EQ(report.problems, 0U) << ::testing::PrintToString(told_);
  EXPECT_EQ(report.blobs, 2U);
}

TEST_F(S3CheckTest, ARepairLeavesWhatWasPushedAgainMeanwhile) {
  push(left_, "v1");
  const std::string damaged = "blobs/sha256/" + digest(manifest("v1")).hex();
  s3_.put(damaged, "{}");
  const BlobDigest lost = digest("lost");
  const RecordKey holding{"a", RecordKind::kBlob, lost.component()};
  must(one_->put_record(holding, ""));
  const FsckReport report = check(Repair::kYes, [&](const std::string& line) {
    s3_.advance(std::chrono::seconds(5));
    if (line.find("is damaged") != std::string::npos)
      s3_.put(damaged, manifest("v1"));
    else
      s3_.put("blobs/sha256/" + lost.hex(), "lost");
  });
  EXPECT_EQ(report.problems, 2U) << ::testing::PrintToString(told_);
  EXPECT_EQ(report.repaired, 2U);
  EXPECT_EQ(s3_.get(damaged), manifest("v1"));
  EXPECT_TRUE(must(one_->record_touched(holding)));
  EXPECT_THAT(s3_.keys(), Not(Contains(AnyOf(StartsWith("sweeps/"), StartsWith("quarantine/")))));
  EXPECT_EQ(check(Repair::kNo).problems, 0U) << ::testing::PrintToString(told_);
}

TEST_F(S3CheckTest, ARepairWaitsForNobodysCollection) {
  const auto collection = must(two_->begin_collection({}));
  EXPECT_EQ(code_of(check_storage(*one_, Repair::kYes, [](const std::string&) {}, {})),
            "failed_precondition");
  EXPECT_EQ(check(Repair::kNo).problems, 0U);
}

}  // namespace
}  // namespace kiln::server
