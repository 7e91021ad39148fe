// The distribution specification, endpoint by endpoint: against the service itself, and against the
// server through a socket. Blobs and uploads; the rest is in conformance_manifests_test.cc.
#include "tests/unit/server/conformance_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::StartsWith;

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

TEST_P(ConformanceTest, WhatCameInOneRequestAndWasRefusedLeavesNothing) {
  expect({"POST", "/v2/a/blobs/uploads/?digest=" + digest_of("more"), "less"}, 400,
         "DIGEST_INVALID");
  EXPECT_EQ(must(registry_.storage().expire_uploads(TimePoint::max())), 0U);
}

}  // namespace
}  // namespace kiln::server
