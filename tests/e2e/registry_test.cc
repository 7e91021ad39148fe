// Registries as others make and read them: Debian's docker-registry, and skopeo as the witness.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/digest.h"
#include "base/strings.h"
#include "tests/e2e/fault_tools.h"
#include "tests/fakes/http_server.h"

namespace kiln::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// "geheim", by crypt(3).
constexpr const char* kPasswords =
    "u:$2b$04$abcdefghijklmnopqrstuuPWRtT5yx7FBi4dcf6ROhboeNunUrLQ.\n";

class RegistryTest : public KilnTest {
 protected:
  void SetUp() override {
    KilnTest::SetUp();
    for (const char* tool : {"docker-registry", "skopeo", "openssl"}) {
      if (IsSkipped()) return;
      if (!find_program(tool, "/usr/bin:/usr/sbin")) GTEST_SKIP() << "needs " << tool;
    }
    ASSERT_TRUE(make_dirs(path("home")));
    std::erase(environment_, "HOME=/root");
    environment_.push_back("HOME=" + path("home"));
    app_ = context("app", {{"Dockerfile", "FROM base\nCOPY a /a\nRUN echo hi > /b\nENV A=1\n"},
                           {"a", "from a\n"}});
  }

  /// `more`: lines below "http:" and beside it.
  void serve(const std::string& http = {}, const std::string& more = {}) {
    ASSERT_TRUE(write_file(path("registry.yml"),
                           "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\n"
                           "storage:\n  delete:\n    enabled: true\n  filesystem:\n    "
                           "rootdirectory: " +
                               path("data") + "\nhttp:\n  addr: 127.0.0.1:0\n" + http + more));
    registry_ =
        RunningProcess::start({"docker-registry", "serve", path("registry.yml")}, environment_);
    const std::string mark = "listening on 127.0.0.1:";
    ASSERT_TRUE(registry_ && registry_->saw(mark) && registry_->saw("go.version"));
    const std::string& said = registry_->text();
    const size_t at = said.find(mark) + mark.size();
    host_ = "127.0.0.1:" + said.substr(at, said.find_first_not_of("0123456789", at) - at);
  }

  Output expect_ok(const Output& output) {
    EXPECT_EQ(output.exit_code, 0) << output.out << output.err;
    return output;
  }
  Output skopeo(const std::vector<std::string>& args) {
    std::vector<std::string> argv = {"skopeo", "--insecure-policy"};
    argv.insert(argv.end(), args.begin(), args.end());
    return expect_ok(command(argv));
  }
  Json inspect(const std::string& name) {
    return Json::parse(skopeo({"inspect", "--tls-verify=false", "docker://" + name}).out)
        .value_or(Json());
  }

  std::optional<RunningProcess> registry_;
  std::string host_, app_;
};

TEST_F(RegistryTest, WhatIsPushedSkopeoReadsAndWhatSkopeoCopiesIsPulled) {
  serve();
  const std::string pushed = host_ + "/team/app:1";
  (void)build(app_, {"--push", "-t", pushed, "--metadata-file", path("metadata")});
  const Json metadata = Json::parse(read_file(path("metadata"), 1 << 20).value()).value();
  EXPECT_EQ(inspect(pushed)["Digest"].as_string(), metadata["containerimage.digest"].as_string());
  // Copying reads and verifies each blob.
  skopeo({"copy", "-q", "--src-tls-verify=false", "docker://" + pushed, "dir:" + path("copy")});

  // Another name on the same registry takes what is there.
  const std::string other = host_ + "/other:2";
  expect_ok(kiln({"tag", pushed, other}));
  EXPECT_THAT(expect_ok(kiln({"push", other})).out, HasSubstr("Mounted from team/app\n"));
  const std::string again = expect_ok(kiln({"push", other})).out;
  EXPECT_EQ(count(again, "Layer already exists\n"), 3) << again;
  EXPECT_THAT(again, HasSubstr("2: digest: " + inspect(other)["Digest"].as_string() + " size: "));
  EXPECT_EQ(expect_ok(kiln({"push", "-q", "-a", host_ + "/other"})).out, other + "\n");

  // And back, by way of skopeo.
  const std::string back = host_ + "/back:3";
  skopeo({"copy", "-q", "--dest-tls-verify=false", "dir:" + path("copy"), "docker://" + back});
  const std::string root = path("elsewhere");
  const Output pulled = expect_ok(kiln_at(root, {"pull", back}));
  const std::string digest = inspect(back)["Digest"].as_string();
  EXPECT_THAT(pulled.out, HasSubstr("3: Pulling from back\n"));
  EXPECT_EQ(count(pulled.out, ": Pull complete\n"), 3);
  EXPECT_THAT(pulled.out, HasSubstr("Digest: " + digest + "\nStatus: Downloaded newer image for " +
                                    back + "\n" + back + "\n"));
  EXPECT_THAT(expect_ok(kiln_at(root, {"pull", back})).out,
              HasSubstr("Status: Image is up to date for " + back));
  EXPECT_EQ(expect_ok(kiln_at(root, {"pull", "-q", "-a", host_ + "/other"})).out,
            host_ + "/other\n");
  const std::string from = context("from", {{"Dockerfile", "FROM " + back + "\nRUN cat /a /b\n"}});
  EXPECT_THAT(expect_ok(kiln_at(root, {"build", "--progress=plain", from})).err,
              HasSubstr("from a"));
  // With its last tag a repository's digest goes, which is not shown beside it.
  const std::string pinned = host_ + "/back@" + digest;
  expect_ok(kiln_at(root, {"pull", "-q", pinned}));
  EXPECT_EQ(expect_ok(kiln_at(root, {"images", "--format", "{{.Tag}}", host_ + "/back"})).out,
            "3\n");
  EXPECT_THAT(expect_ok(kiln_at(root, {"rmi", back})).out,
              HasSubstr("Untagged: " + back + "\nUntagged: " + pinned + "\n"));
}

TEST_F(RegistryTest, OutputsPushByDigestAndSeveralPlatforms) {
  serve();
  const std::string c = context("any", {{"Dockerfile", "FROM scratch\nCOPY a /\n"}, {"a", "a"}});
  (void)build(c, {"--iidfile", path("id"), "--metadata-file", path("metadata"), "-o",
                  "type=image,name=" + host_ + "/d,push=true,push-by-digest=true,store=false"});
  const Json metadata = Json::parse(read_file(path("metadata"), 1 << 20).value()).value();
  const std::string digest = metadata["containerimage.digest"].as_string();
  skopeo({"inspect", "--raw", "--tls-verify=false", "docker://" + host_ + "/d@" + digest});
  EXPECT_NE(
      command({"skopeo", "inspect", "--tls-verify=false", "docker://" + host_ + "/d"}).exit_code, 0)
      << "there is no name";
  EXPECT_THAT(kiln({"images"}).out, Not(HasSubstr(host_)));

  // A push that fails gives no name, not even here.
  const Output failed = kiln({"build", "--progress=plain", "--push", "-t", host_ + "/d:1", "-t",
                              "127.0.0.1:1/nobody:1", c});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_THAT(failed.err, HasSubstr("127.0.0.1:1/nobody"));
  EXPECT_THAT(kiln({"images"}).out, Not(HasSubstr("127.0.0.1")));
  EXPECT_NE(
      command({"skopeo", "inspect", "--tls-verify=false", "docker://" + host_ + "/d:1"}).exit_code,
      0);

  const std::string multi = host_ + "/multi:1";
  (void)build(c, {"--platform", "linux/amd64,linux/arm64", "-o", "type=registry,name=" + multi});
  const Json index =
      Json::parse(skopeo({"inspect", "--raw", "--tls-verify=false", "docker://" + multi}).out)
          .value();
  EXPECT_EQ(index["manifests"].elements().size(), 2U);
  // Only one platform is pulled, and so only that can go on to another registry.
  const std::string root = path("elsewhere");
  expect_ok(kiln_at(root, {"pull", "--platform", "linux/arm64", multi}));
  expect_ok(kiln_at(root, {"tag", multi, host_ + "/one:1"}));
  const Output one = expect_ok(kiln_at(root, {"push", host_ + "/one:1"}));
  EXPECT_THAT(one.err, HasSubstr("only the available single-platform image was pushed"));
  EXPECT_EQ(inspect(host_ + "/one:1")["Architecture"].as_string(), "arm64");
}

TEST_F(RegistryTest, ImagetoolsMakeAnIndexOfImagesOfSeveralRepositories) {
  serve();
  const std::string c = context("any", {{"Dockerfile", "FROM scratch\nCOPY a /\n"}, {"a", "a"}});
  const std::string amd = host_ + "/amd:1", arm = host_ + "/arm:1", all = host_ + "/all:1";
  (void)build(c, {"--platform", "linux/amd64", "-o", "type=registry,name=" + amd});
  (void)build(c, {"--platform", "linux/arm64", "-o", "type=registry,name=" + arm});

  const std::string shown = expect_ok(kiln({"imagetools", "create", "--dry-run", amd, arm})).out;
  EXPECT_NE(command({"skopeo", "inspect", "--tls-verify=false", "docker://" + all}).exit_code, 0);
  expect_ok(kiln({"imagetools", "create", "-t", all, "-t", host_ + "/all:2", "--metadata-file",
                  path("metadata"), amd, arm}));
  const std::string raw = expect_ok(kiln({"imagetools", "inspect", "--raw", all})).out;
  EXPECT_EQ(raw + "\n", shown);
  EXPECT_EQ(skopeo({"inspect", "--raw", "--tls-verify=false", "docker://" + host_ + "/all:2"}).out,
            raw);
  const Json metadata = Json::parse(read_file(path("metadata"), 1 << 20).value()).value();
  const std::string digest = Digest::of(raw).to_string();
  EXPECT_EQ(metadata["containerimage.digest"].as_string(), digest);
  // Copying reads and verifies each blob of both.
  skopeo(
      {"copy", "-q", "--all", "--src-tls-verify=false", "docker://" + all, "dir:" + path("copy")});

  const std::string told = expect_ok(kiln({"imagetools", "inspect", all})).out;
  EXPECT_THAT(told,
              HasSubstr("Name:      " + all + "\nMediaType: application/vnd.oci.image.index"));
  EXPECT_THAT(told, HasSubstr("Digest:    " + digest + "\n\nManifests:\n  Name:        " + all +
                              "@sha256:"));
  EXPECT_THAT(told, HasSubstr("  Platform:    linux/arm64\n"));
  EXPECT_EQ(expect_ok(kiln({"imagetools", "inspect", all, "--format",
                            "{{.Manifest.Digest}}{{range .Manifest.Manifests}} "
                            "{{.Platform.Architecture}}{{end}} "
                            "{{(index .Image \"linux/arm64\").Architecture}}"}))
                .out,
            digest + " amd64 arm64 arm64\n");

  // What is appended, and one platform of it, with something said of it.
  expect_ok(kiln({"imagetools", "create", "-t", host_ + "/grown:1", arm}));
  expect_ok(kiln({"imagetools", "create", "-t", host_ + "/grown:1", "--append", amd}));
  EXPECT_EQ(expect_ok(kiln({"imagetools", "inspect", host_ + "/grown:1", "--format",
                            "{{range .Manifest.Manifests}}{{.Platform.Architecture}} {{end}}"}))
                .out,
            "arm64 amd64 \n");
  EXPECT_THAT(expect_ok(kiln({"imagetools", "create", "--dry-run", "-p", "arm64", "--annotation",
                              "manifest-descriptor[linux/arm64]:k=v", all}))
                  .out,
              HasSubstr("\"k\": \"v\""));
  const Output none = kiln({"imagetools", "create", "--dry-run", "-p", "s390x", all});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("there are linux/amd64, linux/arm64"));
  EXPECT_EQ(kiln({"imagetools", "create", amd}).exit_code, 2);
}

TEST_F(RegistryTest, ALoginAndAPrivateCertificateOpenTheRegistry) {
  expect_ok(
      command({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=kiln", "-addext",
               "subjectAltName=IP:127.0.0.1", "-keyout", path("key.pem"), "-out", path("ca.pem")}));
  ASSERT_TRUE(write_file(path("htpasswd"), kPasswords));
  serve("  tls:\n    certificate: " + path("ca.pem") + "\n    key: " + path("key.pem") + "\n",
        "auth:\n  htpasswd:\n    realm: here\n    path: " + path("htpasswd") + "\n");
  const std::string name = host_ + "/app:1";
  (void)build(app_, {"-t", name});
  environment_.push_back("KILN_CONFIG=" + path("registries.toml"));
  const auto configure = [&](const std::string& text) {
    ASSERT_TRUE(write_file(path("registries.toml"), "[registry.\"" + host_ + "\"]\n" + text));
  };

  configure("insecure = false\n");
  EXPECT_THAT(kiln({"push", name}).err, HasSubstr("certificate"));
  configure("ca = [\"ca.pem\"]\n");
  EXPECT_THAT(kiln({"push", name}).err, HasSubstr("kiln login " + host_));
  const std::vector<std::string> login = {"login", "-u", "u", "--password-stdin", host_};
  EXPECT_NE(kiln(login, "falsch\n").exit_code, 0);
  ASSERT_TRUE(make_dirs(path("home/.docker")));
  const std::string config = path("home/.docker/config.json");
  ASSERT_TRUE(write_file(config, R"({"psFormat":"x"})"));
  EXPECT_EQ(expect_ok(kiln(login, "geheim\n")).out, "Login Succeeded\n");
  EXPECT_EQ(expect_ok(kiln({"login", host_})).out, "Login Succeeded\n");
  struct stat st {};
  ASSERT_EQ(::stat(config.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
  EXPECT_THAT(read_file(config, 1 << 16).value(), HasSubstr("\"psFormat\": \"x\""));
  {
    // What another login writes meanwhile stays.
    std::optional<FileLock> other =
        FileLock::try_acquire(config + ".kiln-lock", FileLock::Mode::kExclusive).value();
    ASSERT_TRUE(other);
    auto waiting = RunningProcess::start({KILN_BINARY, "login", "-u", "u", "-p", "geheim", host_},
                                         environment_);
    ASSERT_TRUE(waiting && waiting->saw("stored unencrypted"));
    ASSERT_TRUE(write_file(config, R"({"auths":{"other.example":{"auth":"dTpw"}}})"));
    other.reset();
    EXPECT_EQ(waiting->wait().exit_code, 0);
    EXPECT_THAT(read_file(config, 1 << 16).value(),
                AllOf(HasSubstr("other.example"), HasSubstr(host_)));
  }
  expect_ok(kiln({"push", name}));
  expect_ok(kiln_at(path("elsewhere"), {"pull", name}));
  skopeo({"inspect", "--tls-verify=false", "--creds", "u:geheim", "docker://" + name});

  EXPECT_EQ(expect_ok(kiln({"logout", host_})).out,
            "Removing login credentials for " + host_ + "\n");
  EXPECT_EQ(expect_ok(kiln({"logout", host_})).out, "Not logged in to " + host_ + "\n");
  EXPECT_THAT(kiln({"push", name}).err, HasSubstr("kiln login " + host_));

  // A helper keeps what the file then does not.
  const std::string kept = path("kept");
  const std::string helper = context(
      "bin",
      {{"docker-credential-box", "#!/bin/sh\ncase $1 in store) cat > " + kept + ";; get) cat " +
                                     kept + ";; erase) rm " + kept + ";; esac\n"}});
  ASSERT_EQ(::chmod((helper + "/docker-credential-box").c_str(), 0700), 0);
  environment_[0] = "PATH=" + helper + ":/usr/bin:/bin:/usr/sbin";
  ASSERT_TRUE(write_file(config, R"({"credsStore":"box"})"));
  expect_ok(kiln(login, "geheim\n"));
  EXPECT_THAT(read_file(config, 1 << 16).value(), Not(HasSubstr("auth\"")));
  EXPECT_THAT(read_file(kept, 1 << 16).value(), HasSubstr("geheim"));
  expect_ok(kiln({"push", name}));
  expect_ok(kiln({"logout", host_}));
  EXPECT_FALSE(exists(kept).value());
  EXPECT_EQ(command({"grep", "-raqF", "geheim", root()}).exit_code, 1) << "kept nowhere";
}

// A proxy that speaks HTTP/2 stands before the registry, and writes down who asked it what.
class ProxiedRegistryTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    if (IsSkipped()) return;
    if (!find_program("nghttpx", "/usr/bin:/usr/sbin")) GTEST_SKIP() << "needs nghttpx";
    expect_ok(command({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                       "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=kiln",
                       "-keyout", path("key.pem"), "-out", path("cert.pem")}));
    serve();
    // It takes no port 0: a port that was free a moment ago may be taken by then.
    for (int tries = 0; tries < 5 && !listening_; ++tries) {
      const std::string port = std::to_string(free_port());
      proxy_ = RunningProcess::start(
          {"nghttpx", "--conf=/dev/null", "--single-process", "--workers=1",
           "--frontend=127.0.0.1," + port,
           "--backend=127.0.0.1," + host_.substr(host_.find(':') + 1),
           "--accesslog-file=" + path("access"), "--accesslog-format=$alpn $remote_port $request",
           path("key.pem"), path("cert.pem")},
          environment_);
      listening_ = proxy_ && proxy_->saw("Created worker thread");
      if (listening_) host_ = "127.0.0.1:" + port;
    }
    ASSERT_TRUE(listening_) << proxy_->text();
  }
  static uint16_t free_port() {
    return fake::HttpServer::start([](const fake::Request&) { return fake::Response{}; })
        .value()
        ->port();
  }
  /// Requests that came by HTTP/2, and the connections that they came by.
  struct Seen {
    size_t requests = 0, other_requests = 0;
    std::set<std::string> connections;
  };
  Seen seen() {
    proxy_->signal(SIGTERM);
    (void)proxy_->wait();
    Seen seen;
    for (const std::string& line : split(read_file(path("access"), 1 << 20).value(), '\n')) {
      if (line.empty()) continue;
      const bool h2 = line.starts_with("h2 ") && line.ends_with(" HTTP/2");
      ++(h2 ? seen.requests : seen.other_requests);
      seen.connections.insert(line.substr(0, line.find(' ', 3)));
    }
    return seen;
  }

  bool listening_ = false;
  std::optional<RunningProcess> proxy_;
};

TEST_F(ProxiedRegistryTest, IsSpokenToInHttp2ByFewConnections) {
  (void)build(app_, {"--push", "-t", host_ + "/app:1"});
  EXPECT_THAT(expect_ok(kiln_at(path("elsewhere"), {"pull", host_ + "/app:1"})).out,
              HasSubstr("Status: Downloaded newer image"));
  const Seen all = seen();
  EXPECT_EQ(all.other_requests, 0U);
  EXPECT_GE(all.requests, 15U);  // a config and three layers both ways, and the manifest
  EXPECT_LT(all.connections.size(), all.requests / 2 + 1);
}

}  // namespace
}  // namespace kiln::e2e
