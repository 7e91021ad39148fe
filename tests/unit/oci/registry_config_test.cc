#include "oci/registry_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"
#include "oci/image_hosts.h"
#include "oci/transfer.h"
#include "registry_fixture.h"
#include "store_fixture.h"

namespace kiln::oci {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

auto is_pair(const std::string& certificate, const std::string& key) {
  return AllOf(Field(&ClientCertificate::certificate_file, certificate),
               Field(&ClientCertificate::key_file, key));
}

TEST(RegistryConfigTest, ReadsWhatBuildkitdTomlSays) {
  const auto config = RegistryConfig::parse(R"(
[registry."docker.io"]
  mirrors = ["mirror.example:5000", "proxy.example/hub"]
[registry."Local.example"]
  http = true
  insecure = false
  ca = ["certs/a.pem", "/b.pem"]
[[registry."local.example".keypair]]
  key = "k.pem"
  cert = "/c.pem"
)",
                                            "/etc/kiln/registries.toml");
  // TOML's keys are case-sensitive, so these are two tables of one registry.
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_THAT(config->find("docker.io")->mirrors,
              ElementsAre("mirror.example:5000", "proxy.example/hub"));
  EXPECT_FALSE(config->find("docker.io")->http);
  EXPECT_TRUE(config->find("elsewhere")->mirrors.empty());
}

TEST(RegistryConfigTest, FilesStandBesideTheConfiguration) {
  const auto config = RegistryConfig::parse(R"(
[registry."r:5000"]
ca = ["certs/a.pem", "/b.pem"]
keypair = [{ key = "k.pem", cert = "/c.pem" }, { cert = "2.pem", key = "/2k.pem" }]
)",
                                            "/etc/kiln/registries.toml")
                          .value();
  const HostConfig host = config.find("r:5000").value();
  EXPECT_THAT(host.ca_files, ElementsAre("/etc/kiln/certs/a.pem", "/b.pem"));
  EXPECT_THAT(host.client_certificates, ElementsAre(is_pair("/c.pem", "/etc/kiln/k.pem"),
                                                    is_pair("/etc/kiln/2.pem", "/2k.pem")));
}

TEST(RegistryConfigTest, WhatItCannotReadIsNamedWithItsLine) {
  struct Case {
    const char *text, *error;
  };
  const Case cases[] = {
      {"a = ", "f.toml:1: "},
      {"\n[worker]\n", "f.toml:2: unknown key \"worker\""},
      {"[registry.\"x\"]\nmirror = []", "f.toml:2: unknown key \"mirror\" (did you mean mirrors?)"},
      {"[registry.\"x\"]\nmirrors = \"y\"", "f.toml:2: \"mirrors\": expected a list of strings"},
      {"[registry.\"x\"]\nmirrors = [1]", "f.toml:2: \"mirrors\": expected a string"},
      {"[registry.\"x\"]\nhttp = \"yes\"", "f.toml:2: \"http\": expected true or false"},
      {"[registry]\nx = 1", "f.toml:2: \"x\": expected a table"},
      {"registry = 1", "f.toml:1: \"registry\": expected a table"},
      {"[registry.\"x\"]\nkeypair = [{ key = \"k\" }]", "expected a key and a cert"},
      {"[registry.\"x\"]\nkeypair = [{ key = \"k\", crt = \"k\" }]", "unknown key \"crt\""},
      {"[registry.\"x\"]\nkeypair = { key = \"k\" }", "expected a table: [[registry"},
      {"[registry.\"x\"]\nkeypair = [{ key = \"k\", cert = \"c\" },\n {}]", "f.toml:3: "}};
  for (const Case& c : cases) {
    const auto config = RegistryConfig::parse(c.text, "f.toml");
    ASSERT_FALSE(config) << c.text;
    EXPECT_THAT(config.error().message(), HasSubstr(c.error));
  }
}

TEST(RegistryConfigTest, DockersCertificateDirectoriesCount) {
  const TempDir dir = TempDir::create("/tmp", "certs").value();
  ASSERT_TRUE(make_dirs(dir.path() + "/r:5000"));
  for (const char* name : {"ca.crt", "client.cert", "client.key", "b.cert", "b.key"})
    ASSERT_TRUE(write_file(dir.path() + "/r:5000/" + name, name));
  RegistryConfig config;
  config.use_certificates_of(dir.path());
  HttpRequest request;
  ASSERT_TRUE(config.prepare(Url::parse("https://r:5000/v2/").value(), request));
  EXPECT_EQ(request.ca_pem, "ca.crt\n");
  const std::string at = dir.path() + "/r:5000/";
  EXPECT_THAT(request.client_certificates,
              ElementsAre(is_pair(at + "b.cert", at + "b.key"),
                          is_pair(at + "client.cert", at + "client.key")));
  HttpRequest other;
  ASSERT_TRUE(config.prepare(Url::parse("https://r/v2/").value(), other));
  EXPECT_EQ(other.ca_pem, "");
  EXPECT_TRUE(config.find("..").value().ca_files.empty()) << "a name is no path";
}

TEST(RegistryConfigTest, LoopbackIsTrustedUntilACertificateIsNamed) {
  const TempDir dir = TempDir::create("/tmp", "certs").value();
  ASSERT_TRUE(write_file(dir.path() + "/ca", "pem"));
  RegistryConfig config;
  HttpRequest request;
  const Url url = Url::parse("https://127.0.0.1:5000/").value();
  ASSERT_TRUE(config.prepare(url, request));
  EXPECT_TRUE(request.insecure_tls);
  HostConfig host;
  host.ca_files = {dir.path() + "/ca"};
  config.set("127.0.0.1:5000", host);
  ASSERT_TRUE(config.prepare(url, request));
  EXPECT_FALSE(request.insecure_tls);
  host.ca_files = {dir.path() + "/absent"};
  config.set("127.0.0.1:5000", host);
  EXPECT_FALSE(config.prepare(url, request));
}

// A registry and its mirror, each with its own password.
class MirrorTest : public testing::Test {
 protected:
  void SetUp() override {
    HostConfig host;
    host.mirrors = {mirror_.host() + "/proxy"};
    config_.set(origin_.host(), host);
    origin_.require_basic("o", "o");
    mirror_.require_basic("m", "m");
    credentials_ = CredentialStore::parse(R"({"auths":{")" + origin_.host() +
                                          R"(":{"username":"o","password":"o"},")" +
                                          mirror_.host() + R"(":{"username":"m","password":"m"}}})")
                       .value();
  }
  // Under the mirror's prefix.
  void fill_mirror(const Descriptor& image) {
    const std::string digest = image.digest.to_string();
    const std::string text = origin_.manifest("app", digest).value();
    (void)mirror_.add_manifest("proxy/app", image.media_type, text, "latest");
    const Manifest manifest = parse_manifest(text).value();
    for (const Descriptor& layer : manifest.layers) copy(layer);
    copy(manifest.config);
  }
  void copy(const Descriptor& blob) {
    (void)mirror_.add_blob("proxy/app", origin_.blob("app", blob.digest.to_string()).value());
  }
  Result<Descriptor> pull() {
    const RegistryAccess access{http_.get(), &credentials_, &config_, std::chrono::milliseconds(1)};
    return pull_image(access, *f_.content, *f_.lease,
                      Reference::parse(origin_.host() + "/app").value(), {"linux", "amd64", ""}, {},
                      {});
  }
  StoreFixture f_;
  ImageRegistry origin_, mirror_;
  RegistryConfig config_;
  CredentialStore credentials_;
  std::unique_ptr<HttpClient> http_ = HttpClient::create("kiln-test");
};

TEST_F(MirrorTest, IsAskedFirstAndWithItsOwnCredentials) {
  const Descriptor image = origin_.add_image("a");
  origin_.tag("latest", image);
  fill_mirror(image);
  const auto pulled = pull();
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_EQ(origin_.asked("/v2/app/"), 0U);
  for (const auto& request : mirror_.server().requests()) {
    if (request.path == "/v2/") continue;
    EXPECT_EQ(request.query, "ns=" + origin_.host());
  }
}

TEST_F(MirrorTest, WhatItLacksOrHasWrongComesFromTheRegistry) {
  const Descriptor image = origin_.add_image("a");
  origin_.tag("latest", image);
  EXPECT_TRUE(pull()) << "it has nothing";
  const Descriptor second = origin_.add_image("b");
  origin_.tag("latest", second);
  fill_mirror(second);
  mirror_.hook = [](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.method != "GET" || request.path.find("/blobs/") == std::string::npos)
      return std::nullopt;
    return fake::Response{.body = std::string(5, '?')};
  };
  const auto pulled = pull();
  EXPECT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_EQ(*pulled, second);
}

TEST_F(MirrorTest, OneThatIsDownCostsOneTry) {
  origin_.tag("latest", origin_.add_image("a"));
  mirror_.hook = [](const fake::Request& request) -> std::optional<fake::Response> {
    if (request.path == "/v2/") return std::nullopt;
    return fake::Response{.status = 503};
  };
  EXPECT_TRUE(pull());
  EXPECT_EQ(mirror_.asked("/v2/proxy/"), 1U);
}

}  // namespace
}  // namespace kiln::oci
