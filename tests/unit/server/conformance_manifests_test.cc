// The distribution specification, as in conformance_test.cc: manifests, tags, listings, referrers.
#include "tests/unit/server/conformance_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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
