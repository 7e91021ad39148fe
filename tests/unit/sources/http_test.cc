#include "solver/sources/http_fetch.h"
#include "tests/fakes/http_server.h"
#include "tests/unit/ops/ops_world.h"

namespace kiln {
namespace {

using internal::parse_http_date;
using internal::resolve_location;

class HttpSourceTest : public fake::OpsWorld {
 protected:
  void serve(fake::HttpServer::Handler handler) {
    server_ = fake::HttpServer::start(std::move(handler)).value();
  }
  llb::Vertex source(const std::string& path, std::map<std::string, std::string> attrs = {}) {
    return vertex(llb::SourceOp{server_->url(path), std::move(attrs)}, 0);
  }
  std::unique_ptr<fake::HttpServer> server_;
};

TEST_F(HttpSourceTest, TheFileIsPrivateAndHasTheServersTime) {
  serve([](const auto&) {
    return fake::Response{200, {{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}}, "body"};
  });
  const auto made = execute(source("/a/file.txt?x=1"), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), "f file.txt 0600 0:0 body");
  const auto view = as_tree(*made->front()).value()->open({}).value();
  const auto st = view->stat(RelPath::rooted("file.txt").value()).value();
  EXPECT_EQ(st->st_mtim.tv_sec, 784111777);
}

TEST_F(HttpSourceTest, NameModeAndOwnerCanBeGiven) {
  serve([](const auto&) { return fake::Response{200, {}, "body"}; });
  const auto made = execute(
      source("/x",
             {{"http.filename", "n"}, {"http.perm", "0755"}, {"http.uid", "5"}, {"http.gid", "6"}}),
      {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), "f n 0755 5:6 body");
}

TEST_F(HttpSourceTest, AWrongChecksumIsAnError) {
  serve([](const auto&) { return fake::Response{200, {}, "body"}; });
  const auto made = execute(source("/x", {{"http.checksum", Digest::of("other").to_string()}}), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kFailedPrecondition);  // the build's fault, not kiln's
  EXPECT_NE(made.error().message().find(Digest::of("body").to_string()), std::string::npos);
  EXPECT_NE(made.error().message().find(Digest::of("other").to_string()), std::string::npos);
}

TEST_F(HttpSourceTest, WithAChecksumTheKeyNeedsNoNetwork) {
  serve([](const auto&) { return fake::Response{200, {}, "body"}; });
  ASSERT_TRUE(cache_map(source("/x", {{"http.checksum", Digest::of("body").to_string()}})));
  EXPECT_TRUE(server_->requests().empty());
}

TEST_F(HttpSourceTest, HeadersDoNotFollowARedirectToAnotherOrigin) {
  const auto other = fake::HttpServer::start([](const auto&) {
                       return fake::Response{200, {}, "elsewhere"};
                     }).value();
  serve([&](const auto&) { return fake::Response{302, {{"Location", other->url("/y")}}, ""}; });
  environment_.secrets["s"] = [] { return Result<std::string>("Bearer t"); };
  const auto made =
      execute(source("/x", {{"http.authheadersecret", "s"}, {"http.header.X-Mine", "1"}}), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(server_->requests().front().header("authorization"), "Bearer t");
  EXPECT_EQ(other->requests().front().header("authorization"), std::nullopt);
  EXPECT_EQ(other->requests().front().header("x-mine"), std::nullopt);
}

TEST_F(HttpSourceTest, ARedirectWithinTheOriginIsFollowed) {
  serve([](const fake::Request& request) {
    if (request.path == "/b") return fake::Response{200, {}, "found"};
    return fake::Response{301, {{"Location", "b"}}, "not this"};
  });
  const auto made = execute(source("/a"), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), "f a 0600 0:0 found");
}

TEST_F(HttpSourceTest, EndlessRedirectsAndRefusalsAreErrors) {
  serve([](const fake::Request& request) {
    if (request.path == "/gone") return fake::Response{404, {}, ""};
    return fake::Response{302, {{"Location", "/loop"}}, ""};
  });
  EXPECT_EQ(execute(source("/gone"), {}).error().code(), Code::kNotFound);
  EXPECT_EQ(execute(source("/loop"), {}).error().code(), Code::kFailedPrecondition);
}

TEST_F(HttpSourceTest, AttributesThatAreChecksAreNotPassedOver) {
  serve([](const auto&) { return fake::Response{}; });
  const auto made = factory_(source("/x", {{"http.sig.pubkey", "k"}}));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kUnimplemented);
}

/// A file with validators: a request that knows it gets 304.
class ConditionalHttpTest : public HttpSourceTest {
 protected:
  void SetUp() override {
    HttpSourceTest::SetUp();
    if (IsSkipped()) return;
    downloads_ = Downloads::open(*database_).value();
    environment_.downloads = downloads_.get();
    serve([this](const fake::Request& request) {
      const auto known = request.header("if-none-match");
      const auto since = request.header("if-modified-since");
      const bool unchanged = (known && known == etag_) || (!known && since && since == modified_);
      fake::Headers headers = {{"Date", "Mon, 07 Nov 1994 08:49:37 GMT"}};
      if (!etag_.empty()) headers.emplace_back("ETag", etag_);
      if (!modified_.empty()) headers.emplace_back("Last-Modified", modified_);
      return unchanged ? fake::Response{304, headers, ""} : fake::Response{200, headers, body_};
    });
  }
  std::string fetched() {
    const auto made = execute(source("/x"), {});
    return made ? listing(made->front()) : made.error().to_string();
  }
  size_t conditional() const {
    size_t count = 0;
    for (const fake::Request& request : server_->requests())
      count += request.header("if-none-match") || request.header("if-modified-since") ? 1 : 0;
    return count;
  }

  std::unique_ptr<Downloads> downloads_;
  std::string etag_ = "\"one\"", modified_ = "Sun, 06 Nov 1994 08:49:37 GMT", body_ = "body";
};

TEST_F(ConditionalHttpTest, AnUnchangedFileIsNotSentAgain) {
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  body_ = "a changed body under an unchanged ETag cannot be seen";
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  EXPECT_EQ(conditional(), 1U);
}

TEST_F(ConditionalHttpTest, AChangedFileIsFetched) {
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  body_ = "other", etag_ = "\"two\"";
  EXPECT_EQ(fetched(), "f x 0600 0:0 other");
}

TEST_F(ConditionalHttpTest, ATimeServesWhereThereIsNoEtag) {
  etag_.clear();
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  EXPECT_EQ(conditional(), 1U);
  modified_ = "Sun, 06 Nov 1994 09:00:00 GMT", body_ = "other";
  EXPECT_EQ(fetched(), "f x 0600 0:0 other");
}

TEST_F(ConditionalHttpTest, ATimeThatAChangeCouldShareIsNoValidator) {
  etag_.clear(), modified_ = "Mon, 07 Nov 1994 08:49:36 GMT";
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  body_ = "changed within the second";
  EXPECT_EQ(fetched(), "f x 0600 0:0 changed within the second");
  EXPECT_EQ(conditional(), 0U);
}

TEST_F(ConditionalHttpTest, AWeakEtagIsNoValidator) {
  etag_ = "W/\"one\"", modified_.clear();
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  EXPECT_EQ(conditional(), 0U);
}

TEST_F(ConditionalHttpTest, BytesThatArePrunedAreFetchedAgain) {
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  lease_ = leases_->acquire().value();
  environment_.lease = lease_.get();
  ASSERT_TRUE(content_->remove_unreferenced({}));
  EXPECT_EQ(fetched(), "f x 0600 0:0 body");
  EXPECT_EQ(conditional(), 0U);
}

TEST_F(HttpSourceTest, OneBuildSeesOneContentOfAUrl) {
  std::string body = "first";
  serve([&](const auto&) { return fake::Response{200, {}, body}; });
  environment_.remotes = std::make_shared<RemoteFacts>();
  ASSERT_TRUE(execute(source("/x"), {}));
  body = "second";
  EXPECT_EQ(listing(execute(source("/x"), {}).value().front()), "f x 0600 0:0 first");
  EXPECT_EQ(server_->requests().size(), 1U);
}

TEST_F(HttpSourceTest, SecretsAreFoundByTheHostsName) {
  serve([](const auto&) { return fake::Response{200, {}, "body"}; });
  environment_.secrets["HTTP_AUTH_TOKEN_127.0.0.1"] = [] { return Result<std::string>("t0"); };
  ASSERT_TRUE(execute(source("/x"), {}));
  EXPECT_EQ(server_->requests().back().header("authorization"), "Bearer t0");
  environment_.secrets["HTTP_AUTH_HEADER_" + server_->host()] = [] {
    return Result<std::string>("Basic eA==");
  };
  ASSERT_TRUE(execute(source("/x"), {}));
  EXPECT_EQ(server_->requests().back().header("authorization"), "Basic eA==");
}

TEST(HttpFetchTest, LocationsAreResolvedAgainstWhereTheyCameFrom) {
  EXPECT_EQ(resolve_location("https://h/a/b?q", "c"), "https://h/a/c");
  EXPECT_EQ(resolve_location("https://h/a/b?q", "/c"), "https://h/c");
  EXPECT_EQ(resolve_location("https://h/a/b?q", "?r"), "https://h/a/b?r");
  EXPECT_EQ(resolve_location("https://h/a", "//other/x"), "https://other/x");
  EXPECT_EQ(resolve_location("https://h/a", "http://o/x"), "http://o/x");
  EXPECT_EQ(resolve_location("https://h/a", "file:///etc/passwd"), std::nullopt);
  EXPECT_EQ(resolve_location("https://h/a", ""), std::nullopt);
}

TEST(HttpFetchTest, DatesAreReadAndCredentialsHidden) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("yesterday"), std::nullopt);
  EXPECT_EQ(without_credentials("https://u:p@h/x@y"), "https://h/x@y");
  EXPECT_EQ(without_credentials("https://h/x@y"), "https://h/x@y");
}

}  // namespace
}  // namespace kiln
