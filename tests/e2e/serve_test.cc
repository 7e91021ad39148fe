// `kiln serve` as its users meet it: other tools push to it and pull from it, it is killed at every
// call that matters, and hundreds ask at once.
#include <gmock/gmock.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "base/http_client.h"
#include "base/io.h"
#include "base/strings.h"
#include "tests/e2e/fault_tools.h"
#include "tests/e2e/kiln_runner.h"
#include "tests/fakes/must.h"

namespace kiln::e2e {
namespace {

using fake::must;
using ::testing::HasSubstr;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

std::string digest_of(const std::string& bytes) {
  return Digest::of(bytes).to_string();
}

class ServeTest : public KilnTest {
 protected:
  void SetUp() override {
    KilnTest::SetUp();
    if (IsSkipped()) return;
    client_ = HttpClient::create("kiln-test");
  }
  void TearDown() override {
    if (server_) {
      server_->signal(SIGTERM);
      EXPECT_EQ(server_->wait().exit_code, 0);
    }
  }
  std::string store() const { return path("store"); }
  std::vector<std::string> serve_command() const {
    return {KILN_BINARY, "serve", "--listen", "127.0.0.1:0", "--storage", store()};
  }
  /// Starts the server behind `prefix` and reads its port; 0: it ended before it listened.
  int start(const std::vector<std::string>& prefix = {},
            const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = prefix;
    for (const auto& words : {serve_command(), more})
      argv.insert(argv.end(), words.begin(), words.end());
    server_ = RunningProcess::start(argv, environment_);
    if (!server_->saw("\n")) return 0;
    const std::string text = server_->text();
    const size_t colon = text.find("127.0.0.1:");
    if (colon == std::string::npos) return 0;
    port_ = std::stoi(text.substr(colon + 10));
    return port_;
  }
  std::string registry() const { return "127.0.0.1:" + std::to_string(port_); }

  /// The status; 0: no answer.
  int ask(const std::string& method, const std::string& target, const std::string& body = {},
          std::string* answer = nullptr) const {
    HttpRequest request;
    request.method = method;
    request.url = "http://" + registry() + target;
    if (method == "PUT") request.headers = {{"Content-Type", kManifestType}};
    StringSource source(body);
    if (method == "POST" || method == "PUT" || method == "PATCH") {
      request.body = &source;
      request.body_bytes = body.size();
    }
    StringSink sink;
    const Result<HttpResponse> response = client_->send(request, sink, {});
    if (answer != nullptr) *answer = sink.take();
    return response ? response->status : 0;
  }
  int push_blob(const std::string& repository, const std::string& bytes) const {
    return ask("POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest_of(bytes), bytes);
  }
  static std::string manifest_of(const std::string& config, const std::string& layer) {
    const auto descriptor = [](const char* type, const std::string& bytes) {
      return Json::object(
          {{"mediaType", type}, {"digest", digest_of(bytes)}, {"size", uint64_t{bytes.size()}}});
    };
    return Json::object({{"schemaVersion", 2},
                         {"mediaType", kManifestType},
                         {"config", descriptor("application/vnd.oci.image.config.v1+json", config)},
                         {"layers", Json::array({descriptor(
                                        "application/vnd.oci.image.layer.v1.tar", layer)})}})
        .dump();
  }
  Output fsck() const { return kiln({"fsck", "--storage", store()}); }
  Output must_run(const std::vector<std::string>& argv) const {
    Output output = command(argv);
    EXPECT_EQ(output.exit_code, 0) << ::testing::PrintToString(argv) << "\n" << output.err;
    return output;
  }
  bool has(const char* tool) const { return find_program(tool, "/usr/bin:/usr/sbin").has_value(); }

  std::optional<RunningProcess> server_;
  std::unique_ptr<HttpClient> client_;
  int port_ = 0;
};

TEST_F(ServeTest, OtherToolsPushAndPullAndKilnBuildsOnIt) {
  if (!has("skopeo")) GTEST_SKIP() << "needs skopeo";
  ASSERT_NE(start(), 0);
  const std::string c = context("c", {{"Dockerfile", "FROM base\nCOPY a /a\n"}, {"a", "from-a\n"}});
  (void)build(c, {"-o", "type=oci,dest=" + path("o.tar")});
  const std::string image = registry() + "/team/app:1";
  (void)must_run({"skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false",
                  "oci-archive:" + path("o.tar"), "docker://" + image});
  (void)must_run({"skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false",
                  "--dest-tls-verify=false", "--format", "v2s2", "docker://" + image,
                  "docker://" + registry() + "/team/docker:1"});
  EXPECT_THAT(must_run({"skopeo", "list-tags", "--tls-verify=false",
                        "docker://" + registry() + "/team/app"})
                  .out,
              HasSubstr("\"1\""));
  for (const char* name : {"/team/app:1", "/team/docker:1"}) {
    const std::string on =
        context("on", {{"Dockerfile", "FROM " + registry() + name + "\nRUN cat a > b\n"}});
    EXPECT_EQ(built_file(on, "b"), "from-a\n") << name;
  }
  if (has("buildah")) {
    const std::vector<std::string> buildah = {
        "buildah",          "--root", path("buildah"), "--runroot", path("buildah-run"),
        "--storage-driver", "vfs"};
    const auto run = [&](const std::vector<std::string>& more) {
      std::vector<std::string> argv = buildah;
      argv.insert(argv.end(), more.begin(), more.end());
      (void)must_run(argv);
    };
    run({"pull", "-q", "--tls-verify=false", image});
    run({"push", "-q", "--tls-verify=false", image, registry() + "/other/app:2"});
    std::string tags;
    EXPECT_EQ(ask("GET", "/v2/other/app/tags/list", "", &tags), 200);
    EXPECT_THAT(tags, HasSubstr("[\"2\"]"));
  }
  (void)must_run({"skopeo", "delete", "--tls-verify=false", "docker://" + image});
  EXPECT_EQ(ask("GET", "/v2/team/app/manifests/1"), 404);
}

TEST_F(ServeTest, UsersLogInAndAnonymousPullsGoOn) {
  if (!has("skopeo")) GTEST_SKIP() << "needs skopeo";
  const std::string token = "t0ken", config = path("kiln.toml");
  must(write_file(config, "[[auth.token]]\nname = 'ci'\nsha256 = '" + Digest::of(token).hex() +
                              "'\n[[access]]\nwho = ['ci']\nrepositories = ['**']\n"
                              "allow = ['pull', 'push']\n[[access]]\nwho = ['anonymous']\n"
                              "repositories = ['public/*']\nallow = ['pull']\n"
                              "[audit]\nfile = '" +
                              path("audit") + "'\n"));
  ASSERT_NE(start({}, {"--config", config}), 0);
  (void)build(context("c", {{"Dockerfile", "FROM base\n"}}),
              {"-o", "type=oci,dest=" + path("o.tar")});
  const auto push = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"skopeo", "copy", "-q", "--insecure-policy",
                                     "--dest-tls-verify=false"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back("oci-archive:" + path("o.tar"));
    argv.push_back("docker://" + registry() + name);
    return command(argv).exit_code;
  };
  EXPECT_EQ(push("/public/app:1", {"--dest-creds", "ci:" + token}), 0);
  EXPECT_EQ(push("/private/app:1", {"--dest-creds", "ci:" + token}), 0);
  EXPECT_NE(push("/public/app:2", {"--dest-no-creds"}), 0);
  EXPECT_NE(push("/public/app:2", {"--dest-creds", "ci:wrong"}), 0);
  const auto pull = [&](const std::string& name) {
    return command({"skopeo", "inspect", "--no-creds", "--tls-verify=false",
                    "docker://" + registry() + name})
        .exit_code;
  };
  EXPECT_EQ(pull("/public/app:1"), 0);
  EXPECT_NE(pull("/private/app:1"), 0);
  const std::string audit = must(read_file(path("audit"), 1U << 20U));
  EXPECT_THAT(audit, HasSubstr("\"who\":\"ci\",\"method\":\"PUT\""));
  EXPECT_EQ(audit.find(token), std::string::npos);
}

TEST_F(ServeTest, WhatWouldNotBeSafeIsRefused) {
  const auto serve = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = {"serve", "--storage", store()};
    args.insert(args.end(), more.begin(), more.end());
    return kiln(args);
  };
  EXPECT_THAT(serve({"--listen", "0.0.0.0:0"}).err, HasSubstr("no loopback address"));
  EXPECT_THAT(serve({"--listen", "0.0.0.0:0", "--insecure-plaintext"}).err,
              HasSubstr("everybody who reaches it could push"));
  EXPECT_EQ(serve({"--listen", "nonsense"}).exit_code, 2);
  must(write_file(path("bad.toml"), "[limits]\nblobs = 1\n"));
  EXPECT_THAT(serve({"--config", path("bad.toml")}).err, HasSubstr("bad.toml:2"));
  EXPECT_EQ(kiln({"fsck", "--storage", path("none")}).exit_code, 2);
}

TEST_F(ServeTest, AHangupReloadsTheConfigurationOrNothingOfIt) {
  const auto configure = [&](const std::string& token, const std::string& more) {
    must(write_file(path("kiln.toml"), "[[auth.token]]\nname = 'ci'\nsha256 = '" +
                                           Digest::of(token).hex() + "'\n" + more));
  };
  const auto status_for = [&](const std::string& token) {
    HttpRequest request;
    request.url = "http://" + registry() + "/v2/";
    request.headers = {{"Authorization", "Bearer " + token}};
    StringSink sink;
    return must(client_->send(request, sink, {})).status;
  };
  configure("one", "");
  ASSERT_NE(start({}, {"--config", path("kiln.toml")}), 0);
  configure("two", "[limits]\nblobs = 1\n");
  server_->signal(SIGHUP);
  ASSERT_TRUE(server_->saw("not reloaded, all stays as it was: " + path("kiln.toml") + ":5: "));
  EXPECT_EQ(status_for("one"), 200);
  EXPECT_EQ(status_for("two"), 401);
  configure("two", "[limits]\nblob = 1\n");
  server_->signal(SIGHUP);
  ASSERT_TRUE(server_->saw(": [limits] has changed: restart the server for that"));
  EXPECT_EQ(status_for("one"), 401);
  EXPECT_EQ(status_for("two"), 200);
}

class ServeKillTest : public ServeTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    ServeTest::SetUp();
    if (IsSkipped()) return;
    if (command({"strace", "-o", "/dev/null", "true"}).exit_code != 0)
      GTEST_SKIP() << "strace cannot trace here";
    // One thread for the disk, so that the number of a call says which one it is.
    must(write_file(path("one.toml"), "[limits]\ndisk_threads = 1\n"));
  }
  /// A server that the kernel kills at call `number` of these.
  void start_doomed(const std::string& calls, int number) {
    ASSERT_NE(start({}, {"--config", path("one.toml")}), 0);
    strace_ = RunningProcess::start(
        {"strace", "-f", "-o", "/dev/null", "-p", std::to_string(server_->pid()), "-e",
         "trace=" + calls, "-e", "inject=" + calls + ":signal=KILL:when=" + std::to_string(number)},
        environment_);
    ASSERT_TRUE(strace_->saw("attached")) << strace_->wait().err;
  }
  void end() {
    server_->signal(SIGKILL);
    (void)strace_->wait();  // first: until then the dead are the tracer's
    (void)server_->wait();
    server_.reset();
  }
  std::optional<RunningProcess> strace_;
};

// The server is killed at the first, second, … call of a kind during pushes. What it said is stored
// is there when it is started again, and no name leads nowhere.
TEST_P(ServeKillTest, NothingAcknowledgedIsLost) {
  std::vector<std::string> acknowledged;  // paths
  int unanswered = 0;
  for (const int number : {1, 2, 4, 7, 11, 16}) {
    ASSERT_NO_FATAL_FAILURE(start_doomed(GetParam(), number));
    const auto note = [&](int status, const std::string& path) {
      if (status == 201) acknowledged.push_back(path);
      if (status == 0) ++unanswered;
    };
    const std::string round = std::to_string(number);
    note(push_blob("app", "{}"), "/v2/app/blobs/" + digest_of("{}"));
    for (const char* which : {".a", ".b", ".c"}) {
      const std::string layer = "layer " + round + which,
                        tag = "/v2/app/manifests/" + round + which;
      note(push_blob("app", layer), "/v2/app/blobs/" + digest_of(layer));
      note(ask("PUT", tag, manifest_of("{}", layer)), tag);
    }
    end();
    const Output checked = fsck();
    EXPECT_EQ(checked.exit_code, 0) << number << "\n" << checked.out << checked.err;
  }
  EXPECT_GT(unanswered, 0) << "it was never hit";
  EXPECT_FALSE(acknowledged.empty());
  ASSERT_NE(start(), 0);
  for (const std::string& path : acknowledged) EXPECT_EQ(ask("GET", path), 200) << path;
  EXPECT_EQ(push_blob("app", "{}"), 201);
  EXPECT_EQ(push_blob("app", "after"), 201);
  EXPECT_EQ(ask("PUT", "/v2/app/manifests/after", manifest_of("{}", "after")), 201);
}

INSTANTIATE_TEST_SUITE_P(Calls, ServeKillTest,
                         ::testing::Values("rename,renameat,renameat2", "fsync", "mkdir",
                                           "utimensat", "unlink,unlinkat"),
                         [](const auto& call) {
                           const std::string name = call.param;
                           return name.substr(0, name.find(','));
                         });

TEST_F(ServeTest, HundredsAtOnceAreServedInLittleMemory) {
  ASSERT_NE(start(), 0);
  std::string big(4U << 20U, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 7 + i / 4096);
  ASSERT_EQ(push_blob("app", big), 201);
  const std::string pull = "/v2/app/blobs/" + digest_of(big);
  std::atomic<int> wrong{0};
  const auto work = [&](int number) {
    const std::string mine = "blob " + std::to_string(number) + big.substr(0, 1U << 19U);
    if (push_blob("p" + std::to_string(number % 7), mine) != 201) ++wrong;
    HashingSink sink(nullptr);
    HttpRequest request;
    request.url = "http://" + registry() + pull;
    const auto response = client_->send(request, sink, {});
    if (!response || response->status != 200 || sink.digest().to_string() != digest_of(big))
      ++wrong;
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 200; ++i) threads.emplace_back(work, i);
  }
  EXPECT_EQ(wrong, 0);
  const std::string status =
      must(read_file("/proc/" + std::to_string(server_->pid()) + "/status", 1U << 16U));
  const std::string key = "VmHWM:";
  const long peak_kb = std::stol(status.substr(status.find(key) + key.size()));
  EXPECT_LT(peak_kb, 100 * 1024) << "the whole server's memory at its peak";
}

}  // namespace
}  // namespace kiln::e2e
