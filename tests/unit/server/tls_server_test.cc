// What the server shows, and takes, in a TLS handshake.
#include <gmock/gmock.h>

#include "base/http_client.h"
#include "base/io.h"
#include "base/process.h"
#include "tests/unit/server/http_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class TlsServerTest : public HttpServerTest {
 protected:
  void SetUp() override {
    if (!find_program("openssl", "/usr/bin:/bin")) GTEST_SKIP() << "needs openssl";
    make_certificate(file("cert.pem"), file("key.pem"), "builder");
    TlsFiles& tls = options_.tls.emplace();
    tls.certificate = file("cert.pem");
    tls.key = file("key.pem");
  }
  std::string file(const std::string& name) const { return registry_.path(name); }
  HttpRequest request(const std::string& path) const {
    HttpRequest request;
    request.url = "https://127.0.0.1:" + std::to_string(server_->port()) + path;
    request.ca_pem = must(read_file(file("cert.pem"), 1U << 16U));
    return request;
  }
  HttpOptions options_;
  std::unique_ptr<HttpClient> client_ = HttpClient::create("kiln-test");
};

TEST_F(TlsServerTest, ServesThroughTls) {
  start(options_);
  const std::string bytes(3U << 20U, 't');
  const std::string digest = push(bytes);
  StringSink got;
  EXPECT_EQ(must(client_->send(request("/v2/a/blobs/" + digest), got, {})).status, 200);
  EXPECT_EQ(digest_of(got.data()), digest);
  // Who speaks no TLS hears nothing.
  RawClient plain = this->client();
  plain.send(head("GET /healthz"));
  EXPECT_THAT(plain.rest(), Not(HasSubstr("ok")));
}

TEST_F(TlsServerTest, AnAnswerBeforeTheBodyIsReadByWhoeverSendsItAll) {
  start(options_);
  const std::string bytes(3U << 20U, 't');
  for (int round = 0; round < 20; ++round) {
    HttpRequest early = request("/v2/a/blobs/uploads/none");
    early.method = "PATCH";
    StringSource body(bytes);
    early.body = &body;
    early.body_bytes = bytes.size();
    StringSink sink;
    const auto answer = client_->send(early, sink, {});
    ASSERT_TRUE(answer) << round << ": " << answer.error().message();
    EXPECT_EQ(answer->status, 404);
  }
}

TEST_F(TlsServerTest, KnowsClientsByTheirCertificates) {
  options_.tls->client_ca = file("cert.pem");
  ServerConfig config;
  config.access.grants = {{{"cert:builder"}, {"**"}, {Action::kPull}}};
  TestRegistry closed(config);
  server_ = must(HttpServer::start(options_, closed.service(), closed.metrics().gauges));
  StringSink sink;
  EXPECT_FALSE(client_->send(request("/v2/a/tags/list"), sink, {})) << "without a certificate";
  HttpRequest known = request("/v2/a/tags/list");
  known.client_certificates = {{file("cert.pem"), file("key.pem")}};
  EXPECT_EQ(must(client_->send(known, sink, {})).status, 404) << "allowed, but not there";
  server_->stop();
}

// A client has several, and the server says whose it takes.
TEST_F(TlsServerTest, IsShownTheCertificateThatItTakes) {
  const ClientCertificate authority{file("cert.pem"), file("key.pem")};
  const ClientCertificate between{file("between.pem"), file("between.key")};
  const ClientCertificate worker{file("worker.pem"), file("worker.key")};
  const ClientCertificate stranger{file("stranger.pem"), file("stranger.key")};
  make_certificate(stranger.certificate_file, stranger.key_file, "stranger");
  make_certificate(between.certificate_file, between.key_file, "between", authority);
  make_certificate(worker.certificate_file, worker.key_file, "worker", between);
  must(write_file(worker.certificate_file,
                  must(read_file(worker.certificate_file, 1U << 16U)) +
                      must(read_file(between.certificate_file, 1U << 16U))));
  const ClientCertificate torn{worker.certificate_file, file("absent.key")};

  options_.tls->client_ca = authority.certificate_file;
  ServerConfig config;
  config.access.grants = {{{"cert:worker"}, {"**"}, {Action::kPull}}};
  TestRegistry closed(config);
  server_ = must(HttpServer::start(options_, closed.service(), closed.metrics().gauges));
  struct Row {
    const char* name;
    std::vector<ClientCertificate> certificates;
    std::string outcome;  // a status, or part of an error
  };
  for (const Row& row : std::vector<Row>{
           {"the second", {stranger, worker}, "404"},  // allowed, but not there
           {"the first", {worker, stranger}, "404"},
           {"of two that it takes the first", {worker, authority}, "404"},
           {"and no other", {authority, worker}, "403"},
           {"none fits", {stranger, stranger}, "alert"},
           {"it cannot be used", {stranger, torn}, "absent.key"},
       }) {
    HttpRequest asked = request("/v2/a/tags/list");
    asked.client_certificates = row.certificates;
    StringSink sink;
    // Each with a client of its own: connections are reused.
    const auto answer = HttpClient::create("kiln-test")->send(asked, sink, {});
    EXPECT_THAT(answer ? std::to_string(answer->status) : answer.error().to_string(),
                HasSubstr(row.outcome))
        << row.name;
  }
  server_->stop();
}

TEST_F(TlsServerTest, FilesThatAreNoneAreNamed) {
  options_.tls->key = file("no.pem");
  const auto started = HttpServer::start(options_, registry_.service(), registry_.metrics().gauges);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("no.pem"));
}

}  // namespace
}  // namespace kiln::server
