// A whole server, and what it takes over from a configuration that changed while it runs.
#include "cache/server/serve.h"

#include <gmock/gmock.h>

#include "base/http_client.h"
#include "base/io.h"
#include "base/process.h"
#include "oci/base64.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::code_of;
using fake::message_of;
using fake::must;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// htpasswd -nbB -C 4 alice wonderland
constexpr const char* kAliceLine =
    "alice:$2y$04$Ul4PnDF/h8Sk.qNXXxs8W.aY1jvwux3CzjZe3RuferGai./I3in1C\n";

class ReloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!find_program("openssl", "/usr/bin:/bin")) GTEST_SKIP() << "needs openssl";
    make_certificate(file("cert.pem"), file("key.pem"), "first");
    first_ = must(read_file(file("cert.pem"), 1U << 16U));
    must(write_file(file("users"), kAliceLine));
    server_ = must(
        RegistryServer::start({"127.0.0.1", 0, file("store"), false, must(configured("")), {}}));
  }
  std::string file(const std::string& name) const { return dir_.path() + "/" + name; }
  Result<ServerConfig> configured(const std::string& more) const {
    const std::string text = "[tls]\ncertificate = '" + file("cert.pem") + "'\nkey = '" +
                             file("key.pem") + "'\n" + tls_ + "[auth]\nhtpasswd = '" +
                             file("users") + "'\n" + more;
    must(write_file(file("kiln.toml"), text));
    return load_config(file("kiln.toml"));
  }
  Result<std::vector<std::string>> reload(const std::string& more = "") const {
    KILN_TRY_ASSIGN(const ServerConfig config, configured(more));
    return server_->reload(config);
  }
  HttpRequest request(const std::string& trusted, const std::string& credentials) const {
    HttpRequest request;
    request.url = "https://127.0.0.1:" + std::to_string(server_->port()) + "/v2/";
    request.ca_pem = trusted;
    request.headers = {{"Authorization", "Basic " + oci::encode_base64(credentials)}};
    return request;
  }
  /// 0: there was no connection.
  static int status_of(HttpClient& client, const HttpRequest& request) {
    StringSink sink;
    const auto response = client.send(request, sink, {});
    return response ? response->status : 0;
  }
  int ask(const std::string& trusted, const std::string& credentials) const {
    return status_of(*HttpClient::create("kiln-test"), request(trusted, credentials));
  }
  static std::string token_section(const std::string& token) {
    return "[[auth.token]]\nname = 'ci'\nsha256 = '" + digest_of(token).substr(7) + "'\n";
  }

  TempDir dir_ = must(TempDir::create("/tmp", "kiln-serve-"));
  std::string first_, tls_;
  std::unique_ptr<RegistryServer> server_;
  const std::string alice_ = "alice:wonderland", ci_ = "ci:t0ken";
};

TEST_F(ReloadTest, NewConnectionsGetTheNewCertificateAndOldOnesStay) {
  const auto open = HttpClient::create("kiln-test");
  EXPECT_EQ(status_of(*open, request(first_, alice_)), 200);
  make_certificate(file("cert.pem"), file("key.pem"), "second");
  const std::string second = must(read_file(file("cert.pem"), 1U << 16U));
  EXPECT_EQ(ask(second, alice_), 0) << "nobody has said that it should be read";
  EXPECT_THAT(must(reload()), IsEmpty());
  EXPECT_EQ(ask(second, alice_), 200);
  EXPECT_EQ(ask(first_, alice_), 0);
  EXPECT_EQ(status_of(*open, request(first_, alice_)), 200) << "its connection goes on";
}

TEST_F(ReloadTest, ClientsNeedACertificateFromThenOn) {
  tls_ = "client_ca = '" + file("cert.pem") + "'\n";
  EXPECT_THAT(must(reload()), IsEmpty());
  EXPECT_EQ(ask(first_, alice_), 0);
  HttpRequest known = request(first_, alice_);
  known.client_certificates = {{file("cert.pem"), file("key.pem")}};
  EXPECT_EQ(status_of(*HttpClient::create("kiln-test"), known), 200);
}

TEST_F(ReloadTest, UsersAndTokensComeAndGo) {
  EXPECT_EQ(ask(first_, ci_), 401);
  must(write_file(file("users"), "# nobody\n"));
  EXPECT_THAT(must(reload(token_section("t0ken"))), IsEmpty());
  EXPECT_EQ(ask(first_, ci_), 200);
  EXPECT_EQ(ask(first_, alice_), 401);
}

TEST_F(ReloadTest, AMistakeAnywhereLeavesEverythingAsItWas) {
  const std::string token = token_section("t0ken");
  EXPECT_THAT(message_of(reload(token + "[limits]\nblobs = 1\n")), HasSubstr("knows no"));
  EXPECT_EQ(reload(token + "[limits]\nblobs = 1\n").error().where()->first_line, 10);
  must(write_file(file("users"), std::string(kAliceLine) + "bob\n"));
  EXPECT_EQ(reload(token).error().where(), (SourceRange{file("users"), 2, 2}));
  must(write_file(file("users"), kAliceLine));
  // A new certificate whose key has not been written yet.
  make_certificate(file("cert.pem"), file("other.pem"), "second");
  EXPECT_THAT(message_of(reload(token)), HasSubstr("key.pem"));
  EXPECT_EQ(ask(first_, alice_), 200);
  EXPECT_EQ(ask(first_, ci_), 401);
}

TEST_F(ReloadTest, WhatIsReadAtTheStartOnlyIsNamed) {
  EXPECT_THAT(must(reload("[limits]\nblob = 1\n[collect]\ngrace = '2h'\n")),
              ElementsAre("[limits]", "[collect]"));
  EXPECT_THAT(must(reload()), IsEmpty());
  EXPECT_THAT(must(server_->reload(must(load_config("")))), ElementsAre("[tls]"));
  EXPECT_EQ(ask(first_, ci_), 200) << "who is not asked is not refused";
}

}  // namespace
}  // namespace kiln::server
