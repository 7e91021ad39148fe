// Two `kiln serve` on one bucket of an S3 server that is not ours.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>

#include "base/http_client.h"
#include "base/io.h"
#include "base/strings.h"
#include "tests/e2e/fault_tools.h"
#include "tests/e2e/kiln_runner.h"
#include "tests/fakes/given_bucket.h"
#include "tests/fakes/must.h"

namespace kiln::e2e {
namespace {

using fake::must;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSearchPath = "/usr/local/bin:/usr/bin:/usr/sbin";

/// Gives some bytes, then calls `then` and fails: what a client does that loses its server.
class BrokenBody : public Source {
 public:
  BrokenBody(std::string_view bytes, std::function<void()> then)
      : left_(bytes), then_(std::move(then)) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    if (left_.empty()) {
      then_();
      return fail(Code::kUnavailable, "the server was killed");
    }
    const size_t n = std::min(buffer.size(), left_.size());
    std::copy_n(as_bytes(left_).data(), n, buffer.data());
    left_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view left_;
  std::function<void()> then_;
};

// The storage is the bucket that KILN_TEST_S3=s3://NAME and the variables of AWS lead to, or else
// an S3 server of npm's that was installed beside the binary.
class ServeBucketTest : public KilnTest {
 protected:
  void SetUp() override {
    KilnTest::SetUp();
    if (IsSkipped()) return;
    prefix_ = Digest::of(path("")).hex().substr(0, 12);
    for (const char* tool : {"skopeo", "curl"})
      if (!find_program(tool, kSearchPath)) GTEST_SKIP() << "needs " << tool;
    if (auto given = fake::given_bucket())
      access_ = *std::move(given);
    else
      start_bucket();
  }

  void start_bucket() {
    if (!find_program("node", kSearchPath)) GTEST_SKIP() << "needs node, or KILN_TEST_S3";
    const std::filesystem::path build =
        std::filesystem::path(KILN_BINARY).parent_path().parent_path();
    const std::string server = build / "s3-server";
    if (!std::filesystem::exists(server + "/done"))
      GTEST_SKIP() << "there is no S3 server: scripts/install-s3-server " << server
                   << ", or scripts/ceph-s3";
    // "node -e" gives a program no name of its own. Where a listing goes on is told with an old
    // cipher.
    const std::string run = "process.argv.splice(1, 0, 's3rver'); require('" + server +
                            "/node_modules/@20minutes/s3rver/lib/cli').parseAsync(process.argv)";
    bucket_ = RunningProcess::start(
        {"node", "--openssl-legacy-provider", "-e", run, "--", "-d", path("bucket"), "-a",
         "127.0.0.1", "-p", "0", "-s", "--configure-bucket", "kiln-e2e"},
        environment_);
    ASSERT_TRUE(bucket_ && bucket_->saw("listening on 127.0.0.1:") && bucket_->saw("\n"));
    access_ = {"http://127.0.0.1:" + std::to_string(port_in(bucket_->text())), "S3RVER", "S3RVER",
               "kiln-e2e"};
  }

  static int port_in(const std::string& text) {
    const std::string host = "127.0.0.1:";
    return std::stoi(text.substr(text.rfind(host) + host.size()));
  }
  std::vector<std::string> keys(const std::string& secret) const {
    return {"AWS_ACCESS_KEY_ID=" + access_.key, "AWS_SECRET_ACCESS_KEY=" + secret,
            "AWS_ENDPOINT_URL=" + access_.endpoint};
  }
  std::string storage() const { return "s3://" + access_.name + "/" + prefix_; }
  std::optional<RunningProcess> start_kiln() const { return start_kiln(access_.secret); }
  std::optional<RunningProcess> start_kiln(const std::string& secret) const {
    std::vector<std::string> environment = environment_;
    for (const std::string& key : keys(secret)) environment.push_back(key);
    return RunningProcess::start(
        {KILN_BINARY, "serve", "--listen", "127.0.0.1:0", "--storage", storage()}, environment);
  }
  void start_both() {
    for (std::optional<RunningProcess>* server : {&one_, &two_}) {
      *server = start_kiln();
      ASSERT_TRUE(*server && (*server)->saw(" on http://127.0.0.1:") && (*server)->saw("\n"))
          << (*server ? (*server)->text() : "");
    }
  }
  static std::string host(const std::optional<RunningProcess>& server) {
    return "127.0.0.1:" + std::to_string(port_in(server->text()));
  }
  Result<HttpResponse> send(const std::string& method, const std::string& url, Source& body,
                            uint64_t bytes, Sink& answer) const {
    HttpRequest request;
    request.method = method;
    request.url = "http://" + url;
    if (bytes > 0) {
      request.body = &body;
      request.body_bytes = bytes;
    }
    return client_->send(request, answer, {});
  }
  Result<HttpResponse> ask(const std::string& method, const std::string& url,
                           const std::string& body = {}) const {
    StringSource source(body);
    StringSink sink;
    return send(method, url, source, body.size(), sink);
  }
  Output fsck() const {
    std::vector<std::string> argv = {"env"};
    for (const std::string& key : keys(access_.secret)) argv.push_back(key);
    argv.insert(argv.end(), {KILN_BINARY, "fsck", "--storage", storage()});
    return command(argv);
  }
  /// Other bytes in place of the blob's, as a disk of the storage would do it.
  void damage(const std::string& digest) const {
    const std::string bytes = "damaged";
    const std::string hash = Digest::of(bytes).hex();
    const Output put = command({"curl", "-sSf", "-X", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3",
                                "-u", access_.key + ":" + access_.secret, "-H",
                                "x-amz-content-sha256: " + hash, "--data-binary", bytes,
                                access_.endpoint + "/" + access_.name + "/" + prefix_ +
                                    "/blobs/sha256/" + digest.substr(digest.find(':') + 1)});
    ASSERT_EQ(put.exit_code, 0) << put.err;
  }
  static void stop(std::optional<RunningProcess>& server) {
    server->signal(SIGTERM);
    EXPECT_EQ(server->wait().exit_code, 0);
  }

  std::optional<RunningProcess> bucket_, one_, two_;
  fake::BucketAccess access_;
  // Nobody else's: what was given may hold what an earlier run left.
  std::string prefix_;
  std::unique_ptr<HttpClient> client_ = HttpClient::create("kiln-test");
};

TEST_F(ServeBucketTest, WhatIsPushedThroughOneServerIsPulledThroughTheOther) {
  start_both();
  const std::string c = context("c", {{"Dockerfile", "FROM base\nCOPY a /a\n"}, {"a", "from-a\n"}});
  (void)build(c, {"-o", "type=oci,dest=" + path("o.tar")});
  const Output pushed =
      command({"skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false",
               "oci-archive:" + path("o.tar"), "docker://" + host(one_) + "/team/app:1"});
  ASSERT_EQ(pushed.exit_code, 0) << pushed.err;
  const Output pulled =
      command({"skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false",
               "docker://" + host(two_) + "/team/app:1", "dir:" + path("pulled")});
  ASSERT_EQ(pulled.exit_code, 0) << pulled.err;
  const std::string on =
      context("on", {{"Dockerfile", "FROM " + host(two_) + "/team/app:1\nRUN cat a > b\n"}});
  EXPECT_EQ(built_file(on, "b"), "from-a\n");
  stop(one_);
  EXPECT_EQ(must(ask("GET", host(two_) + "/v2/team/app/manifests/1")).status, 200);
  const Output sound = fsck();  // beside the server
  EXPECT_EQ(sound.exit_code, 0) << sound.out << sound.err;
  damage(must(ask("GET", host(two_) + "/v2/team/app/manifests/1"))
             .header("docker-content-digest")
             .value());
  const Output damaged = fsck();
  EXPECT_EQ(damaged.exit_code, 1) << damaged.err;
  EXPECT_THAT(damaged.out, HasSubstr("is damaged: "));
  stop(two_);
}

TEST_F(ServeBucketTest, AnUploadGoesOnElsewhereAfterItsServerWasKilled) {
  start_both();
  std::string bytes(24U << 20U, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 13U);
  const std::string location =
      *must(ask("POST", host(one_) + "/v2/a/blobs/uploads/")).header("location");
  ASSERT_EQ(must(ask("PATCH", host(one_) + location, bytes.substr(0, 9U << 20U))).status, 202);
  BrokenBody half(std::string_view(bytes).substr(9U << 20U, 10U << 20U),
                  [&] { one_->signal(SIGKILL); });
  StringSink sink;
  EXPECT_FALSE(send("PATCH", host(one_) + location, half, 15U << 20U, sink));
  (void)one_->wait();
  const auto state = must(ask("GET", host(two_) + location));
  ASSERT_EQ(state.status, 204);
  const std::string range = *state.header("range");
  const size_t there = std::stoul(range.substr(range.find('-') + 1)) + 1;
  EXPECT_GE(there, 9U << 20U);
  ASSERT_EQ(must(ask("PATCH", host(two_) + location, bytes.substr(there))).status, 202);
  const std::string digest = Digest::of(bytes).to_string();
  ASSERT_EQ(must(ask("PUT", host(two_) + location + "?digest=" + digest)).status, 201);
  StringSource none("");
  StringSink got;
  EXPECT_EQ(must(send("GET", host(two_) + "/v2/a/blobs/" + digest, none, 0, got)).status, 200);
  EXPECT_TRUE(got.data() == bytes);
  stop(two_);
}

TEST_F(ServeBucketTest, AWrongSecretIsToldOfAndNotShown) {
  auto server = start_kiln("not-the-secret");
  ASSERT_TRUE(server);
  const Output output = server->wait();
  EXPECT_NE(output.exit_code, 0);
  EXPECT_THAT(output.err, HasSubstr("SignatureDoesNotMatch"));
  EXPECT_THAT(output.err, HasSubstr("AWS_SECRET_ACCESS_KEY"));
  EXPECT_THAT(output.err, Not(HasSubstr("not-the-secret")));
}

}  // namespace
}  // namespace kiln::e2e
