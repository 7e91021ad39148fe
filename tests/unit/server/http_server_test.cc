// The server's way with connections: what clients do wrong, slowly, or at once.
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "tests/unit/server/http_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(HttpServerTest, OneConnectionCarriesManyRequests) {
  start();
  const std::string path = "/v2/a/blobs/" + push("bytes");
  RawClient client = this->client();
  client.send(head("GET " + path) + head("HEAD " + path) + head("GET " + path));
  EXPECT_THAT(client.response(), HasSubstr("\r\n\r\nbytes"));
  const std::string answer = client.response(true);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(client.response(), HasSubstr("\r\n\r\nbytes"));
  client.send(head("GET /healthz", "Connection: close\r\n"));
  EXPECT_THAT(client.rest(), HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpServerTest, ChunkedBodiesArriveWhole) {
  start();
  const std::string at = new_upload(), digest = digest_of("hello world");
  RawClient client = this->client();
  client.send(head("PUT " + at + "?digest=" + digest, "Transfer-Encoding: chunked\r\n") +
              "6\r\nhello \r\n5;x=y\r\nwor");
  client.send("ld\r\n0\r\nTrailer: t\r\n\r\n" + head("GET /v2/a/blobs/" + digest));
  EXPECT_THAT(client.response(), StartsWith("HTTP/1.1 201 "));
  EXPECT_THAT(client.response(), HasSubstr("\r\n\r\nhello world"));
}

TEST_F(HttpServerTest, ABodyIsAskedForOnlyIfItIsWanted) {
  start();
  RawClient wanted = client();
  wanted.send(head("POST /v2/a/blobs/uploads/?digest=" + digest_of("x"),
                   "Content-Length: 1\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(wanted.response(), "HTTP/1.1 100 Continue\r\n\r\n");
  wanted.send("x");
  EXPECT_THAT(wanted.response(), StartsWith("HTTP/1.1 201 "));
  RawClient unwanted = client();
  unwanted.send(head("PATCH /v2/a/blobs/uploads/none",
                     "Content-Length: 9999999\r\nExpect: 100-continue\r\n"));
  EXPECT_THAT(unwanted.response(), StartsWith("HTTP/1.1 404 "));
}

TEST_F(HttpServerTest, AnAnswerBeforeTheBodyIsReadByWhoeverSendsItAll) {
  start();
  const std::string body(3U << 20U, 'x');
  RawClient client = this->client();
  client.send(head("PATCH /v2/a/blobs/uploads/none",
                   "Content-Length: " + std::to_string(body.size()) + "\r\n"));
  client.send(body);
  EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 404 "));
}

TEST_F(HttpServerTest, WhatIsNoRequestIsRefused) {
  start();
  const std::string both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
  for (const std::string& text :
       {std::string("nonsense\r\n\r\n"), head("GET v2"), head("GET /%zz"), head("GET /%00"),
        head("PUT /v2/a/manifests/1", both), head("PUT /v2/a/manifests/1", "Content-Length: x\r\n"),
        head("PUT /v2/a/manifests/1", "Content-Length: 1\r\nContent-Length: 2\r\n")}) {
    RawClient client = this->client();
    client.send(text);
    EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 400 ")) << text;
  }
  RawClient large = client();
  large.send(head("GET /", "X: " + std::string(20000, 'x') + "\r\n"));
  EXPECT_THAT(large.rest(), StartsWith("HTTP/1.1 431 "));
  // Nothing of a request gets into a head of ours.
  RawClient split = client();
  split.send(head("GET /v2/a%0d%0aX:%20y/tags/list"));
  EXPECT_THAT(split.response(), Not(HasSubstr("\nX: y")));
}

// Whoever stands before this server may have read another body into such a request.
TEST_F(HttpServerTest, BytesOfABodyInAnotherCodingAreNoRequest) {
  start();
  const std::string smuggled = head("GET /healthz");
  for (const std::string& coding :
       {std::string("Transfer-Encoding: gzip\r\n"), std::string("Transfer-Encoding: xchunked\r\n"),
        std::string("Transfer-Encoding: chunked, identity\r\n"),
        std::string("Transfer-Encoding: gzip, chunked\r\n"),
        "Transfer-Encoding: gzip\r\nContent-Length: " + std::to_string(smuggled.size()) + "\r\n",
        std::string("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")}) {
    RawClient client = this->client();
    client.send(head("PATCH " + new_upload(), coding) + smuggled);
    const std::string answer = client.rest();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 501 ")) << coding;
    EXPECT_THAT(answer, Not(HasSubstr("\r\n\r\nok"))) << coding;
  }
}

TEST_F(HttpServerTest, WhatStandsBetweenChunksIsBoundedAndChecked) {
  start();
  const std::string many(1U << 20U, 'x');
  for (const std::string& body : {"3;" + many, "3\r\nabc\r\n0\r\nTrailer: " + many,
                                  std::string("3\r\nabc\r\nnonsense\r\n")}) {
    RawClient client = this->client();
    client.send(head("PATCH " + new_upload(), "Transfer-Encoding: chunked\r\n") + body);
    EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 400 ")) << body.substr(0, 20);
  }
}

TEST_F(HttpServerTest, WhoeverStallsIsDroppedAndWhatCameStays) {
  HttpOptions options;
  options.header_timeout = options.stall_timeout = std::chrono::milliseconds(50);
  start(options);
  const std::string at = new_upload();
  RawClient slow_head = client(), slow_body = client(), idle = client();
  slow_head.send("GET /heal");
  slow_body.send(head("PATCH " + at, "Content-Length: 10\r\n") + "12345");
  EXPECT_EQ(slow_head.rest(), "");
  EXPECT_EQ(slow_body.rest(), "");
  // It is written down after the connection ended, as soon as a thread has time for it.
  std::string range;
  for (int i = 0; i < 500 && range != "0-4"; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    range = registry_.ask({"GET", at}).header("range");
  }
  EXPECT_EQ(range, "0-4");
  EXPECT_GE(registry_.metrics().gauges.timeouts, 2U);
}

TEST_F(HttpServerTest, ManySlowClientsKeepNobodyWaiting) {
  HttpOptions options;
  options.disk_threads = 2;
  start(options);
  const std::string big(1U << 20U, 'b');
  const std::string path = "/v2/a/blobs/" + push(big);
  std::vector<RawClient> slow;
  for (int i = 0; i < 60; ++i) {
    slow.push_back(client());
    const std::string at = new_upload();
    if (i % 3 == 0)
      slow.back().send("GET /v2/");
    else if (i % 3 == 1)
      slow.back().send(head("PATCH " + at, "Content-Length: 100\r\n") + "1");
    else
      slow.back().send(head("GET " + path));  // and it does not read
  }
  RawClient quick = client();
  for (int i = 0; i < 5; ++i) {
    quick.send(head("GET " + path));
    EXPECT_EQ(quick.response().size() > big.size(), true);
  }
}

TEST_F(HttpServerTest, ConnectionsAreLimited) {
  HttpOptions options;
  options.max_connections_per_client = 2;
  start(options);
  RawClient first = client(), second = client();
  for (RawClient* client : {&first, &second}) {
    client->send(head("GET /healthz"));
    EXPECT_THAT(client->response(), HasSubstr("ok"));
  }
  RawClient third = client();
  third.send(head("GET /healthz"));
  EXPECT_EQ(third.rest(), "");
}

TEST_F(HttpServerTest, StoppingLetsWhatRunsEnd) {
  start();
  const std::string at = new_upload();
  RawClient running = client(), idle = client();
  idle.send(head("GET /healthz"));
  EXPECT_THAT(idle.response(), HasSubstr("ok"));
  running.send(head("PUT " + at + "?digest=" + digest_of("0123456789"),
                    "Content-Length: 10\r\nExpect: 100-continue\r\n"));
  EXPECT_THAT(running.response(), HasSubstr("100"));
  const uint16_t port = server_->port();
  std::jthread stopper([&] { server_->stop(); });
  EXPECT_EQ(idle.rest(), "");  // closed: stopping has begun
  running.send("0123456789");
  const std::string answer = running.rest();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 201 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  stopper.join();
  EXPECT_FALSE(RawClient(port).connected());
}

TEST_F(HttpServerTest, WhatDoesNotEndInItsGraceIsCutOff) {
  HttpOptions options;
  options.stop_grace = std::chrono::milliseconds(50);
  start(options);
  const std::string at = new_upload();
  RawClient running = client();
  running.send(head("PATCH " + at, "Content-Length: 10\r\nExpect: 100-continue\r\n"));
  EXPECT_THAT(running.response(), HasSubstr("100"));
  server_->stop();
  EXPECT_EQ(running.rest(), "");
}

/// Answers everything with the same bytes, fetched as they are sent.
class StreamingHandler : public Handler {
 public:
  StreamingHandler(std::string bytes, uint64_t announced)
      : bytes_(std::move(bytes)), announced_(announced) {}
  Started start(Request&) override {
    return Response{200, {}, StreamedBody{std::make_unique<Pieces>(*this), announced_}, {}};
  }
  void finished(const Request&, int, uint64_t, uint64_t) override {}
  size_t pulled() const { return pulled_; }

 private:
  // At most 1,000 bytes at a time, then an error.
  class Pieces : public Source {
   public:
    explicit Pieces(StreamingHandler& handler) : handler_(handler), left_(handler.bytes_) {}
    Result<size_t> read(std::span<std::byte> buffer) override {
      if (left_.empty()) return fail(Code::kUnavailable, "it went away");
      const size_t n = std::min<size_t>({buffer.size(), left_.size(), 1000});
      std::copy_n(as_bytes(left_).data(), n, buffer.data());
      left_.remove_prefix(n);
      handler_.pulled_ += n;
      return n;
    }

   private:
    StreamingHandler& handler_;
    std::string_view left_;
  };
  const std::string bytes_;
  const uint64_t announced_;
  std::atomic<size_t> pulled_{0};
};

TEST_F(HttpServerTest, BodiesThatAreFetchedWhileTheyAreSentArriveWhole) {
  StreamingHandler handler(std::string(300000, 's'), 300000);
  server_ = must(HttpServer::start({}, handler, registry_.metrics().gauges));
  RawClient client = this->client();
  client.send(head("HEAD /"));
  EXPECT_THAT(client.response(true), HasSubstr("Content-Length: 300000\r\n"));
  EXPECT_EQ(handler.pulled(), 0U) << "nobody wanted it";
  client.send(head("GET /"));
  EXPECT_THAT(client.response(), HasSubstr(std::string(300000, 's')));
  EXPECT_EQ(handler.pulled(), 300000U);
  client.send(head("GET /", "Connection: close\r\n"));
  EXPECT_THAT(client.rest(), HasSubstr(std::string(300000, 's')));
  server_->stop();
}

TEST_F(HttpServerTest, ABodyThatCannotBeFetchedToItsEndIsCutOff) {
  StreamingHandler handler(std::string(1500, 's'), 3000);
  server_ = must(HttpServer::start({}, handler, registry_.metrics().gauges));
  RawClient client = this->client();
  client.send(head("GET /"));
  EXPECT_THAT(client.rest(), ::testing::EndsWith("\r\n\r\n" + std::string(1500, 's')));
  server_->stop();
}

// Whoever takes nothing makes nobody fetch more than what fits between the two.
TEST_F(HttpServerTest, AClientThatReadsNothingDoesNotMakeTheServerFetchEverything) {
  constexpr size_t kBytes = 64U << 20U;
  StreamingHandler handler(std::string(kBytes, 's'), kBytes);
  HttpOptions options;
  options.stall_timeout = std::chrono::milliseconds(200);
  server_ = must(HttpServer::start(options, handler, registry_.metrics().gauges));
  RawClient client = this->client();
  client.send(head("GET /"));
  while (registry_.metrics().gauges.timeouts == 0) std::this_thread::yield();
  EXPECT_LT(handler.pulled(), kBytes);
  server_->stop();
}

/// Keeps its threads waiting until it is released.
class StuckHandler : public Handler {
 public:
  std::optional<Response> answer_at_once(Request& request) override {
    if (request.path != "/alive") return std::nullopt;
    return Response{200, {}, "alive", {}};
  }
  Started start(Request&) override {
    released_.wait();
    return Response{200, {}, "late", {}};
  }
  void finished(const Request&, int, uint64_t, uint64_t) override {}
  void release() { released_.count_down(); }

 private:
  std::latch released_{1};
};

/// Sends a file, and keeps the thread of whoever asks for something else.
class FileHandler : public Handler {
 public:
  explicit FileHandler(uint64_t bytes) : bytes_(bytes) {
    file_ = Fd(::memfd_create("kiln-test", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file_.get(), static_cast<off_t>(bytes)), 0);
  }
  Started start(Request& request) override {
    if (request.path == "/file")
      return Response{200, {}, FileRange{must(file_.duplicate()), 0, bytes_}, {}};
    entered_.count_down();
    released_.wait();
    return Response{};
  }
  void finished(const Request&, int, uint64_t, uint64_t) override {}
  void wait_until_entered() { entered_.wait(); }
  void release() { released_.count_down(); }

 private:
  const uint64_t bytes_;
  Fd file_;
  std::latch entered_{1}, released_{1};
};

TEST_F(HttpServerTest, AClientIsNotDroppedForWhatTheServerIsLateWith) {
  constexpr uint64_t kBytes = 32U << 20U;
  FileHandler handler(kBytes);
  HttpOptions options;
  options.disk_threads = 1;
  options.stall_timeout = options.header_timeout = std::chrono::milliseconds(500);
  server_ = must(HttpServer::start(options, handler, registry_.metrics().gauges));
  RawClient reader = client(), blocker = client(), stalled = client();
  reader.send(head("GET /file", "Connection: close\r\n"));
  blocker.send(head("GET /"));
  handler.wait_until_entered();
  size_t received = 0;
  {
    std::jthread reading([&] { received = reader.rest().size(); });
    stalled.send("GET /");
    EXPECT_EQ(stalled.rest(), "");  // later than the reader would have been
    handler.release();
  }
  EXPECT_GT(received, kBytes);
  EXPECT_EQ(registry_.metrics().gauges.timeouts, 1U);
  server_->stop();
}

TEST_F(HttpServerTest, ThatItLivesIsSaidEvenWhileEveryThreadWaits) {
  StuckHandler handler;
  HttpOptions options;
  options.disk_threads = 1;
  server_ = must(HttpServer::start(options, handler, registry_.metrics().gauges));
  RawClient stuck = client(), other = client();
  stuck.send(head("GET /"));
  other.send(head("GET /alive"));
  EXPECT_THAT(other.response(), HasSubstr("alive"));
  handler.release();
  EXPECT_THAT(stuck.response(), HasSubstr("late"));
  server_->stop();
}

}  // namespace
}  // namespace kiln::server
