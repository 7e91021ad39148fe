// The distribution specification, endpoint by endpoint: against the service itself, and against the
// server through a socket.
#include <gmock/gmock.h>

#include "base/http_client.h"
#include "base/strings.h"
#include "cache/server/http_server.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::HasSubstr;
using ::testing::StartsWith;

enum class Way : uint8_t { kDirect, kSocket };
void PrintTo(Way way, std::ostream* out) {
  *out << (way == Way::kDirect ? "Direct" : "Socket");
}

class ConformanceTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (GetParam() == Way::kDirect) return;
    server_ =
        must(HttpServer::start(HttpOptions{}, registry_.service(), registry_.metrics().gauges));
    client_ = HttpClient::create("kiln-test");
  }
  Reply ask(const Ask& ask) const {
    if (GetParam() == Way::kDirect) return registry_.ask(ask);
    HttpRequest request;
    request.method = ask.method;
    request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + ask.target;
    request.headers = ask.headers;
    StringSource body(ask.body);
    if (ask.method != "GET" && ask.method != "HEAD" && ask.method != "DELETE") {
      request.body = &body;
      request.body_bytes = ask.body.size();
    }
    StringSink sink;
    const HttpResponse response = must(client_->send(request, sink, {}));
    return {response.status, response.headers, sink.take()};
  }
  void expect(const Ask& what, int status, const std::string& code = "") const {
    const Reply reply = ask(what);
    EXPECT_EQ(reply.status, status) << what.method << " " << what.target << "\n" << reply.body;
    EXPECT_EQ(reply.code(), code) << what.method << " " << what.target << "\n" << reply.body;
  }
  std::string push(const std::string& repository, const std::string& bytes) const {
    const std::string digest = digest_of(bytes);
    expect({"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest, bytes}, 201);
    return digest;
  }
  std::string start_upload(const std::string& repository) const {
    const Reply reply = ask({"POST", "/v2/" + repository + "/blobs/uploads/"});
    EXPECT_EQ(reply.status, 202);
    return reply.header("location");
  }
  Reply put_manifest(const std::string& where, const std::string& text,
                     const std::string& type = kManifestType) const {
    return ask({"PUT", "/v2/" + where, text, {{"Content-Type", type}}});
  }
  std::string push_image(const std::string& repository, const std::string& tag,
                         const std::string& layer = "layer") const {
    push(repository, "{}");
    push(repository, layer);
    const Reply reply = put_manifest(repository + "/manifests/" + tag, manifest_of({"{}", layer}));
    EXPECT_EQ(reply.status, 201) << reply.body;
    return reply.header("docker-content-digest");
  }

  TestRegistry registry_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Ways, ConformanceTest, ::testing::Values(Way::kDirect, Way::kSocket),
                         ::testing::PrintToStringParamName());

TEST_P(ConformanceTest, PingTellsTheVersion) {
  const Reply reply = ask({"GET", "/v2/"});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("docker-distribution-api-version"), "registry/2.0");
}

TEST_P(ConformanceTest, WhatIsNoEndpointOrNoNameIsRefused) {
  const std::string digest = digest_of("x");
  expect({"GET", "/v2/a/nothing/here"}, 404, "UNSUPPORTED");
  expect({"GET", "/elsewhere"}, 404, "UNSUPPORTED");
  expect({"PATCH", "/v2/a/manifests/1", "x"}, 405, "UNSUPPORTED");
  expect({"POST", "/v2/a/blobs/" + digest, "x"}, 405, "UNSUPPORTED");
  for (const char* name : {"A", "a//b", "-a", "a.", "a..b", ".a", "a%2F..%2Fb", "%2e%2e"})
    expect({"GET", "/v2/" + std::string(name) + "/blobs/" + digest}, 400, "NAME_INVALID");
}

TEST_P(ConformanceTest, BlobsAreReadWholeInPartAndByHead) {
  const std::string path = "/v2/a/b/blobs/" + push("a/b", "0123456789");
  const Reply whole = ask({"GET", path});
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "0123456789");
  EXPECT_EQ(whole.header("docker-content-digest"), digest_of("0123456789"));
  EXPECT_EQ(whole.header("content-type"), "application/octet-stream");
  const Reply head = ask({"HEAD", path});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "10");
  EXPECT_EQ(head.body, "");

  struct Row {
    const char* range;
    int status;
    const char* body;
    const char* content_range;
  };
  for (const Row& row :
       {Row{"bytes=2-4", 206, "234", "bytes 2-4/10"}, Row{"bytes=7-", 206, "789", "bytes 7-9/10"},
        Row{"bytes=-3", 206, "789", "bytes 7-9/10"}, Row{"bytes=8-99", 206, "89", "bytes 8-9/10"},
        Row{"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
        Row{"bytes=1-2,4-5", 200, "0123456789", ""}, Row{"lines=1-2", 200, "0123456789", ""},
        Row{"bytes=5-2", 200, "0123456789", ""}}) {
    const Reply reply = ask({"GET", path, "", {{"Range", row.range}}});
    EXPECT_EQ(reply.status, row.status) << row.range;
    EXPECT_EQ(reply.body, row.body) << row.range;
    EXPECT_EQ(reply.header("content-range"), row.content_range) << row.range;
  }
  const Reply beyond = ask({"GET", path, "", {{"Range", "bytes=10-"}}});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.header("content-range"), "bytes */10");
  const Reply known = ask({"GET", path, "", {{"If-None-Match", whole.header("etag")}}});
  EXPECT_EQ(known.status, 304);
  // What compresses on the way says so.
  EXPECT_EQ(ask({"GET", path, "", {{"If-None-Match", "W/" + whole.header("etag")}}}).status, 304);
}

TEST_P(ConformanceTest, ABlobIsReadableOnlyWhereItIsHeld) {
  const std::string digest = push("mine", "secret");
  expect({"GET", "/v2/yours/blobs/" + digest}, 404, "BLOB_UNKNOWN");
  EXPECT_EQ(ask({"HEAD", "/v2/yours/blobs/" + digest}).status, 404);
  expect({"GET", "/v2/mine/blobs/" + digest_of("other")}, 404, "BLOB_UNKNOWN");
  expect({"GET", "/v2/mine/blobs/sha256:12"}, 400, "DIGEST_INVALID");
  expect({"GET", "/v2/mine/blobs/md5:0123456789abcdef0123456789abcdef"}, 400, "DIGEST_INVALID");
  // Nor does a manifest lead to what its repository does not hold.
  push("yours", "{}");
  EXPECT_EQ(put_manifest("yours/manifests/1", manifest_of({"{}", "secret"})).code(),
            "MANIFEST_BLOB_UNKNOWN");
}

TEST_P(ConformanceTest, UploadsGoInOneOrManyPieces) {
  const std::string at = start_upload("a");
  EXPECT_THAT(at, StartsWith("/v2/a/blobs/uploads/"));
  Reply reply = ask({"PATCH", at, "hello ", {{"Content-Range", "0-5"}}});
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.header("range"), "0-5");
  reply = ask({"GET", reply.header("location")});
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("range"), "0-5");
  // Out of order: 416, and where it goes on.
  reply = ask({"PATCH", at, "world", {{"Content-Range", "7-11"}}});
  EXPECT_EQ(reply.status, 416);
  EXPECT_EQ(reply.header("range"), "0-5");
  EXPECT_EQ(reply.header("location"), at);
  expect({"PATCH", at, "w", {{"Content-Range", "nonsense"}}}, 400, "BLOB_UPLOAD_INVALID");
  EXPECT_EQ(ask({"PATCH", at, "wor"}).status, 202);  // a stream
  expect({"PUT", at + "?digest=" + digest_of("hello world"), "ld"}, 201);
  EXPECT_EQ(ask({"GET", "/v2/a/blobs/" + digest_of("hello world")}).body, "hello world");
  expect({"GET", at}, 404, "BLOB_UPLOAD_UNKNOWN");

  const std::string whole = start_upload("a");
  reply = ask({"PUT", whole + "?digest=" + digest_of("x"), "x"});
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.header("location"), "/v2/a/blobs/" + digest_of("x"));
}

TEST_P(ConformanceTest, AnUploadIsOnlyWhatItsDigestSays) {
  const std::string at = start_upload("a");
  expect({"PUT", at + "?digest=" + digest_of("other"), "bytes"}, 400, "DIGEST_INVALID");
  expect({"PUT", at}, 400, "DIGEST_INVALID");
  expect({"PUT", at + "?digest=sha256:zz"}, 400, "DIGEST_INVALID");
  expect({"GET", "/v2/a/blobs/" + digest_of("other")}, 404, "BLOB_UNKNOWN");
  // What came stays: the client may have got the digest wrong.
  expect({"PUT", at + "?digest=" + digest_of("bytes")}, 201);
  expect({"POST", "/v2/a/blobs/uploads/?digest=" + digest_of("more"), "less"}, 400,
         "DIGEST_INVALID");
}

TEST_P(ConformanceTest, UploadsBelongToTheirRepositoryAndCanBeGivenUp) {
  const std::string at = start_upload("a");
  const std::string id = at.substr(at.rfind('/') + 1);
  expect({"PATCH", "/v2/b/blobs/uploads/" + id, "x"}, 404, "BLOB_UPLOAD_UNKNOWN");
  expect({"GET", "/v2/b/blobs/uploads/" + id}, 404, "BLOB_UPLOAD_UNKNOWN");
  for (const char* wrong : {"0123", "..%2F..%2Fblobs", "../../etc"})
    EXPECT_GE(ask({"PATCH", "/v2/a/blobs/uploads/" + std::string(wrong), "x"}).status, 400);
  EXPECT_EQ(ask({"DELETE", at}).status, 204);
  expect({"DELETE", at}, 404, "BLOB_UPLOAD_UNKNOWN");
}

TEST_P(ConformanceTest, BlobsAreMountedFromWhereTheyAreHeld) {
  const std::string digest = push("from", "shared");
  Reply reply = ask({"POST", "/v2/to/blobs/uploads/?mount=" + digest + "&from=from"});
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.header("location"), "/v2/to/blobs/" + digest);
  EXPECT_EQ(ask({"GET", "/v2/to/blobs/" + digest}).body, "shared");
  // What is not there is uploaded instead.
  for (const char* from : {"elsewhere", "NO", ""}) {
    reply = ask({"POST", "/v2/new/blobs/uploads/?mount=" + digest + "&from=" + from});
    EXPECT_EQ(reply.status, 202) << from;
    EXPECT_THAT(reply.header("location"), StartsWith("/v2/new/blobs/uploads/")) << from;
  }
}

TEST_P(ConformanceTest, Sha512IsADigestToo) {
  const std::string digest = BlobDigest::of(HashAlgorithm::kSha512, "bytes").to_string();
  expect({"POST", "/v2/a/blobs/uploads/?digest=" + digest, "bytes"}, 201);
  EXPECT_EQ(ask({"GET", "/v2/a/blobs/" + digest}).body, "bytes");
  const std::string at = start_upload("a");
  expect({"PATCH", at, "other"}, 202);
  expect({"PUT", at + "?digest=" + BlobDigest::of(HashAlgorithm::kSha512, "other").to_string()},
         201);
}

TEST_P(ConformanceTest, ManifestsAreReadByTagAndDigest) {
  const std::string digest = push_image("a/b", "v1");
  const std::string text = manifest_of({"{}", "layer"});
  for (const std::string& reference : {std::string("v1"), digest}) {
    const Reply reply = ask({"GET", "/v2/a/b/manifests/" + reference});
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, text);
    EXPECT_EQ(reply.header("content-type"), kManifestType);
    EXPECT_EQ(reply.header("docker-content-digest"), digest);
    const Reply head = ask({"HEAD", "/v2/a/b/manifests/" + reference});
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(text.size()));
  }
  expect({"GET", "/v2/a/b/manifests/v2"}, 404, "MANIFEST_UNKNOWN");
  expect({"GET", "/v2/a/b/manifests/" + digest_of("x")}, 404, "MANIFEST_UNKNOWN");
  expect({"GET", "/v2/a/b/manifests/.tag"}, 404, "MANIFEST_UNKNOWN");
  expect({"GET", "/v2/a/manifests/v1"}, 404, "MANIFEST_UNKNOWN");
  const std::string path = "/v2/a/b/manifests/v1";
  EXPECT_EQ(ask({"GET", path, "", {{"Accept", "text/plain, " + kManifestType}}}).status, 200);
  EXPECT_EQ(ask({"GET", path, "", {{"Accept", "*/*;q=0.5"}}}).status, 200);
  expect({"GET", path, "", {{"Accept", kIndexType}}}, 404, "MANIFEST_UNKNOWN");
}

TEST_P(ConformanceTest, ManifestsThatMeanNothingOrTwoThingsAreRefused) {
  push("a", "{}");
  const std::string good = manifest_of({"{}"});
  const auto with = [](const char* extra) { return manifest_of({"{}"}, must(Json::parse(extra))); };
  const std::string doubled = "{\"schemaVersion\":2," + good.substr(1);
  struct Row {
    std::string text, type, code;
  };
  for (const Row& row : {
           Row{"not json", kManifestType, "MANIFEST_INVALID"},
           Row{"[]", kManifestType, "MANIFEST_INVALID"},
           Row{doubled, kManifestType, "MANIFEST_INVALID"},
           Row{with(R"({"manifests":[]})"), kManifestType, "MANIFEST_INVALID"},
           Row{with(R"({"schemaVersion":1})"), kManifestType, "MANIFEST_INVALID"},
           Row{with(R"({"fsLayers":[]})"), kManifestType, "MANIFEST_INVALID"},
           Row{with(R"({"mediaType":"text/plain"})"), "", "MANIFEST_INVALID"},
           Row{with(R"({"layers":[{"digest":"x"}]})"), kManifestType, "MANIFEST_INVALID"},
           Row{with(R"({"config":null})"), kManifestType, "MANIFEST_INVALID"},
           Row{with(R"({"subject":7})"), kManifestType, "MANIFEST_INVALID"},
           Row{good, kIndexType, "MANIFEST_INVALID"},
           Row{good, "application/vnd.docker.distribution.manifest.v1+json", "MANIFEST_INVALID"},
           Row{manifest_of({"{}", "absent"}), kManifestType, "MANIFEST_BLOB_UNKNOWN"},
       }) {
    const Reply reply = put_manifest("a/manifests/1", row.text, row.type);
    EXPECT_EQ(reply.code(), row.code) << row.text << "\n" << reply.body;
  }
  EXPECT_EQ(put_manifest("a/manifests/" + digest_of("x"), good).code(), "DIGEST_INVALID");
  EXPECT_EQ(put_manifest("a/manifests/.tag", good).code(), "MANIFEST_INVALID");
  EXPECT_EQ(put_manifest("a/manifests/1", std::string(5U << 20U, ' ')).status, 413);
  EXPECT_EQ(put_manifest("a/manifests/1", "[" + std::string(200000, ',') + "]").code(),
            "MANIFEST_INVALID");
  const std::string wrong_size =
      R"({"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":9,"digest":")" +
      digest_of("{}") + "\"}]}";
  EXPECT_EQ(put_manifest("a/manifests/1", with(wrong_size.c_str())).code(), "MANIFEST_INVALID");
  expect({"GET", "/v2/a/manifests/1"}, 404, "MANIFEST_UNKNOWN");
  EXPECT_EQ(put_manifest("a/manifests/" + digest_of(good), good).status, 201);
}

TEST_P(ConformanceTest, DockersManifestsAndIndexesAreTakenToo) {
  const std::string image = push_image("a", "1");
  const auto index = [&](const std::string& type, const std::string& digest) {
    return Json::object(
               {{"schemaVersion", 2},
                {"mediaType", type},
                {"manifests", Json::array({Json::object(
                                  {{"mediaType", kManifestType},
                                   {"digest", digest},
                                   {"size", uint64_t{manifest_of({"{}", "layer"}).size()}}})})}})
        .dump();
  };
  const std::string docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
  EXPECT_EQ(put_manifest("a/manifests/oci", index(kIndexType, image), kIndexType).status, 201);
  EXPECT_EQ(put_manifest("a/manifests/list", index(docker_list, image), docker_list).status, 201);
  EXPECT_EQ(put_manifest("a/manifests/no", index(kIndexType, digest_of("x")), kIndexType).code(),
            "MANIFEST_BLOB_UNKNOWN");
  const std::string docker = "application/vnd.docker.distribution.manifest.v2+json";
  const std::string text = manifest_of({"{}", "layer"}, Json::object({{"mediaType", docker}}));
  EXPECT_EQ(put_manifest("a/manifests/docker", text, docker).status, 201);
  EXPECT_EQ(ask({"GET", "/v2/a/manifests/docker"}).header("content-type"), docker);
  // A layer that lies elsewhere is not asked for, but warned of.
  const Json foreign = must(Json::parse(
      R"({"layers":[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","size":9,)"
      R"("urls":["https://example.test/l"],"digest":")" +
      digest_of("far") + "\"}]}"));
  const Reply reply = put_manifest("a/manifests/far", manifest_of({"{}"}, foreign));
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_THAT(reply.header("warning"), StartsWith("299 - "));
}

TEST_P(ConformanceTest, TagsAndRepositoriesAreListedInPages) {
  for (const char* tag : {"a", "b", "c", "d"}) push_image("r/one", tag);
  push("r/two", "x");
  const auto tags = [&](const std::string& query) {
    return must(Json::parse(ask({"GET", "/v2/r/one/tags/list" + query}).body))["tags"].dump();
  };
  EXPECT_EQ(tags(""), R"(["a","b","c","d"])");
  EXPECT_EQ(tags("?n=2"), R"(["a","b"])");
  EXPECT_EQ(tags("?n=2&last=b"), R"(["c","d"])");
  EXPECT_EQ(tags("?n=0"), "[]");
  EXPECT_EQ(tags("?last=bb"), R"(["c","d"])");
  EXPECT_EQ(tags("?last=z"), "[]");
  const Reply page = ask({"GET", "/v2/r/one/tags/list?n=2"});
  EXPECT_EQ(page.header("link"), "</v2/r/one/tags/list?n=2&last=b>; rel=\"next\"");
  EXPECT_EQ(ask({"GET", "/v2/r/one/tags/list?n=2&last=b"}).header("link"), "");
  expect({"GET", "/v2/r/one/tags/list?n=x"}, 400, "PAGINATION_NUMBER_INVALID");
  expect({"GET", "/v2/r/none/tags/list"}, 404, "NAME_UNKNOWN");
  EXPECT_EQ(ask({"GET", "/v2/_catalog"}).body, R"({"repositories":["r/one","r/two"]})");
  const Reply first = ask({"GET", "/v2/_catalog?n=1"});
  EXPECT_EQ(first.body, R"({"repositories":["r/one"]})");
  EXPECT_EQ(first.header("link"), "</v2/_catalog?n=1&last=r%2Fone>; rel=\"next\"");
}

TEST_P(ConformanceTest, ReferrersAreListedUntilTheyAreDeleted) {
  const std::string subject = push_image("a", "1");
  const auto referring = [&](const std::string& type) {
    return manifest_of(
        {"{}", "layer"},
        Json::object(
            {{"artifactType", type},
             {"annotations", Json::object({{"k", "v"}})},
             {"subject",
              Json::object({{"mediaType", kManifestType}, {"digest", subject}, {"size", 7}})}}));
  };
  const Reply put = put_manifest("a/manifests/sig", referring("test/signature"));
  EXPECT_EQ(put.status, 201) << put.body;
  EXPECT_EQ(put.header("oci-subject"), subject);
  EXPECT_EQ(put_manifest("a/manifests/sbom", referring("test/sbom")).status, 201);
  const auto list = [&](const std::string& query) {
    const Reply reply = ask({"GET", "/v2/a/referrers/" + subject + query});
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("content-type"), kIndexType);
    return must(Json::parse(reply.body))["manifests"].elements();
  };
  EXPECT_EQ(list("").size(), 2U);
  const auto found = list("?artifactType=test%2Fsignature");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]["digest"].as_string(), put.header("docker-content-digest"));
  EXPECT_EQ(found[0]["artifactType"].as_string(), "test/signature");
  EXPECT_EQ(found[0]["annotations"]["k"].as_string(), "v");
  EXPECT_EQ(
      ask({"GET", "/v2/a/referrers/" + subject + "?artifactType=x"}).header("oci-filters-applied"),
      "artifactType");
  expect({"DELETE", "/v2/a/manifests/" + put.header("docker-content-digest")}, 202);
  EXPECT_EQ(list("").size(), 1U);
  EXPECT_EQ(
      must(Json::parse(ask({"GET", "/v2/a/referrers/" + digest_of("none")}).body))["manifests"]
          .elements()
          .size(),
      0U);
  expect({"GET", "/v2/a/referrers/x"}, 400, "DIGEST_INVALID");
}

// As large as a manifest may be; an answer stays of about that size, and says how it goes on.
TEST_P(ConformanceTest, ReferrersWithLargeAnnotationsAreListedInPages) {
  const std::string subject = push_image("a", "1");
  for (const char* type : {"test/1", "test/2", "test/3"}) {
    const Reply put = put_manifest(
        std::string("a/manifests/r") + type[5],
        manifest_of({"{}"}, Json::object({{"artifactType", type},
                                          {"annotations",
                                           Json::object({{"k", std::string(3U << 20U, 'k')}})},
                                          {"subject", Json::object({{"mediaType", kManifestType},
                                                                    {"digest", subject},
                                                                    {"size", 7}})}})));
    EXPECT_EQ(put.status, 201) << put.body;
  }
  std::string next = "/v2/a/referrers/" + subject + "?n=2";
  size_t found = 0, pages = 0;
  for (; !next.empty() && pages < 10; ++pages) {
    const Reply page = ask({"GET", next});
    ASSERT_EQ(page.status, 200) << page.body;
    EXPECT_LT(page.body.size(), 8U << 20U);
    found += must(Json::parse(page.body, {8U << 20U, 16}))["manifests"].elements().size();
    const std::string link = page.header("link");
    next = link.empty() ? "" : link.substr(1, link.find('>') - 1);
  }
  EXPECT_EQ(found, 3U);
  EXPECT_EQ(pages, 3U);
  const Reply some = ask({"GET", "/v2/a/referrers/" + subject + "?artifactType=test%2F2"});
  EXPECT_EQ(must(Json::parse(some.body, {8U << 20U, 16}))["manifests"].elements().size(), 1U);
  EXPECT_EQ(some.header("link"), "");
}

// Nobody was told of its upload.
TEST_P(ConformanceTest, WhatCameInOneRequestAndWasRefusedLeavesNothing) {
  expect({"POST", "/v2/a/blobs/uploads/?digest=" + digest_of("more"), "less"}, 400,
         "DIGEST_INVALID");
  EXPECT_EQ(must(registry_.storage().expire_uploads(TimePoint::max())), 0U);
}

TEST_P(ConformanceTest, WhatIsDeletedIsGoneWithItsTags) {
  const std::string digest = push_image("a", "1");
  EXPECT_EQ(push_image("a", "2"), digest);
  push_image("a", "other", "another layer");
  expect({"DELETE", "/v2/a/manifests/2"}, 202);
  expect({"DELETE", "/v2/a/manifests/2"}, 404, "MANIFEST_UNKNOWN");
  EXPECT_EQ(ask({"GET", "/v2/a/manifests/1"}).status, 200);
  expect({"DELETE", "/v2/a/manifests/" + digest}, 202);
  expect({"GET", "/v2/a/manifests/1"}, 404, "MANIFEST_UNKNOWN");
  EXPECT_THAT(ask({"GET", "/v2/a/tags/list"}).body, HasSubstr(R"(["other"])"));
  const std::string blob = "/v2/a/blobs/" + digest_of("layer");
  expect({"DELETE", blob}, 202);
  expect({"DELETE", blob}, 404, "BLOB_UNKNOWN");
  expect({"GET", blob}, 404, "BLOB_UNKNOWN");
}

}  // namespace
}  // namespace kiln::server
