#include <latch>
#include <thread>

#include "base/fs.h"
#include "base/process.h"
#include "base/strings.h"
#include "tests/unit/base/http_client_fixture.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::Fault;
using fake::HttpServer;
using fake::message_of;
using fake::must;
using fake::Request;
using fake::Response;
using namespace std::chrono_literals;

TEST_F(HttpClientTest, StatusHeadersAndBodyArrive) {
  serve(Response{
      .status = 404, .headers = {{"X-Thing", " a b "}, {"x-thing", "second"}}, .body = "not here"});
  const HttpResponse response = must(send(request("/v2/x?n=1")));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.header("x-thing"), "a b");
  EXPECT_EQ(response.header("none"), std::nullopt);
  EXPECT_EQ(body_.data(), "not here");
  const Request seen = server_->requests().at(0);
  EXPECT_EQ(seen.target, "/v2/x?n=1");
  EXPECT_EQ(seen.header("user-agent"), "kiln/test");
  EXPECT_EQ(seen.header("accept-encoding"), std::nullopt);
}

TEST_F(HttpClientTest, AProxyIsAskedForEverythingButThisMachine) {
  serve(Response{.body = "answer"});
  // The server stands for both: a proxy sees whole URLs.
  const auto client = HttpClient::create("kiln/test", server_->url());
  HttpRequest r;
  r.url = "http://registry.invalid/v2/";
  must(client->send(r, body_, {}));
  for (const std::string host : {"127.0.0.1", "localhost", "127.1"}) {
    r.url = "http://" + host + ":" + std::to_string(server_->port()) + "/v2/";
    must(client->send(r, body_, {}));
  }
  std::vector<std::string> targets;
  for (const Request& seen : server_->requests()) targets.push_back(seen.target);
  EXPECT_EQ(targets,
            (std::vector<std::string>{"http://registry.invalid/v2/", "/v2/", "/v2/", "/v2/"}));
}

TEST_F(HttpClientTest, RequestHeadersAreSentAsGiven) {
  serve(Response{});
  HttpRequest r = request();
  r.headers = {{"Accept", "a/b"}, {"Accept", "c/d"}, {"X-Empty", ""}};
  must(send(r));
  const Request seen = server_->requests().at(0);
  EXPECT_EQ(std::count_if(seen.headers.begin(), seen.headers.end(),
                          [](const auto& h) { return h.first == "accept"; }),
            2);
  EXPECT_EQ(seen.header("x-empty"), "");
}

TEST_F(HttpClientTest, HeaderInjectionIsRefused) {
  serve(Response{});
  HttpRequest r = request();
  r.headers = {{"X", "a\r\nEvil: 1"}};
  EXPECT_EQ(code_of(send(r)), "invalid_argument");
  r.headers = {{"X: y", "a"}};
  EXPECT_EQ(code_of(send(r)), "invalid_argument");
  r.headers.clear();
  r.method = "GET /x";
  EXPECT_EQ(code_of(send(r)), "invalid_argument");
  EXPECT_TRUE(server_->requests().empty());
}

TEST_F(HttpClientTest, BodiesAreSentFromASource) {
  serve(Response{.status = 201});
  const std::string data(300'000, 'u');
  StringSource source(data);
  HttpRequest r = request();
  r.method = "PATCH";
  r.body = &source;
  r.body_bytes = data.size();
  EXPECT_EQ(must(send(r)).status, 201);
  const Request seen = server_->requests().at(0);
  EXPECT_EQ(seen.method, "PATCH");
  EXPECT_EQ(seen.body, data);
  EXPECT_EQ(seen.header("content-length"), "300000");
  EXPECT_EQ(seen.header("expect"), std::nullopt);
}

TEST_F(HttpClientTest, AShortSourceIsAnErrorAndNotAHang) {
  serve(Response{});
  StringSource source("short");
  HttpRequest r = request();
  r.method = "PUT";
  r.body = &source;
  r.body_bytes = 100;
  EXPECT_EQ(code_of(send(r)), "failed_precondition");
}

TEST_F(HttpClientTest, PostWithoutBodyHasALength) {
  serve(Response{.status = 202});
  HttpRequest r = request();
  r.method = "POST";
  must(send(r));
  const Request seen = server_->requests().at(0);
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.header("content-length"), "0");
  EXPECT_EQ(seen.header("content-type"), std::nullopt);
}

TEST_F(HttpClientTest, HeadHasHeadersOnly) {
  serve(Response{.headers = {{"Content-Length", "1000"}}});
  HttpRequest r = request();
  r.method = "HEAD";
  EXPECT_EQ(must(send(r)).header("content-length"), "1000");
  EXPECT_EQ(server_->requests().at(0).method, "HEAD");
}

TEST_F(HttpClientTest, RedirectsAreLeftToTheCaller) {
  serve(Response{.status = 307, .headers = {{"Location", "/elsewhere"}}});
  EXPECT_EQ(must(send(request())).header("location"), "/elsewhere");
  EXPECT_EQ(server_->requests().size(), 1U);
}

TEST_F(HttpClientTest, OnlyHttpAndHttps) {
  serve(Response{});
  HttpRequest r;
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "", "gopher://x"}) {
    r.url = url;
    EXPECT_EQ(code_of(send(r)), "invalid_argument") << url;
  }
}

TEST_F(HttpClientTest, ConnectionsAreReused) {
  serve(Response{.body = "x"});
  for (int i = 0; i < 3; ++i) must(send(request()));
  EXPECT_EQ(server_->requests().at(2).connection, 1U);
}

TEST_F(HttpClientTest, ConnectionRefusedIsUnavailable) {
  serve(Response{});
  const HttpRequest r = request();
  server_.reset();
  EXPECT_EQ(code_of(send(r)), "unavailable");
}

// libcurl keeps a handle's buffer after a failed lookup and refuses to change its size.
TEST_F(HttpClientTest, AHostThatIsNotFoundIsSoEachTimeItIsAsked) {
  serve(Response{.body = "x"});
  HttpRequest r = request();
  r.url = "http://" + std::string(64, 'a') + ".invalid/";  // a label that no resolver sends
  for (int i = 0; i < 3; ++i) {
    const auto response = send(r);
    EXPECT_EQ(code_of(response), "unavailable");
    EXPECT_NE(fake::message_of(response).find("resolve"), std::string::npos)
        << fake::message_of(response);
  }
  EXPECT_EQ(must(send(request())).status, 200);
}

TEST_F(HttpClientTest, TruncatedAndResetBodiesAreUnavailable) {
  for (const Fault fault : {Fault::kClose, Fault::kReset}) {
    serve(Response{.body = std::string(1000, 'b'), .fault = fault, .fault_after = 500});
    EXPECT_EQ(code_of(send(request())), "unavailable");
  }
}

TEST_F(HttpClientTest, GarbageIsUnavailable) {
  serve(Response{.raw = "SSH-2.0-OpenSSH_9.2\r\n"});
  EXPECT_EQ(code_of(send(request())), "unavailable");
}

TEST_F(HttpClientTest, SilenceBeforeTheHeadersTimesOut) {
  serve(Response{.fault = Fault::kStall, .silent = true});
  HttpRequest r = request();
  r.header_timeout = 1s;
  const auto result = send(r);
  EXPECT_EQ(code_of(result), "unavailable");
  EXPECT_NE(message_of(result).find("timed out waiting for a response"), std::string::npos);
}

TEST_F(HttpClientTest, AStalledBodyTimesOut) {
  serve(Response{.body = "abcdef", .fault = Fault::kStall, .fault_after = 3});
  HttpRequest r = request();
  r.stall_timeout = 1s;
  const auto result = send(r);
  EXPECT_EQ(code_of(result), "unavailable");
  EXPECT_NE(message_of(result).find("no data for 1 s"), std::string::npos) << message_of(result);
  EXPECT_EQ(body_.data(), "abc");
}

TEST_F(HttpClientTest, StopAnswersAtOnceWhileTheServerIsSilent) {
  std::latch arrived(1);
  serve([&](const Request&) {
    arrived.count_down();
    return Response{.fault = Fault::kStall, .silent = true};
  });
  std::stop_source stop;
  std::chrono::steady_clock::time_point stopped;
  std::jthread stopper([&] {
    arrived.wait();
    stopped = std::chrono::steady_clock::now();
    stop.request_stop();
  });
  EXPECT_EQ(code_of(send(request(), stop.get_token())), "cancelled");
  stopper.join();
  EXPECT_LT(std::chrono::steady_clock::now() - stopped, 1s);
}

TEST_F(HttpClientTest, ARequestThatIsStoppedBeforeItStartsSendsNothing) {
  serve(Response{});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of(send(request(), stop.get_token())), "cancelled");
  EXPECT_TRUE(server_->requests().empty());
}

class FullSink final : public Sink {
 public:
  Status write(std::span<const std::byte>) override {
    return fail(Code::kResourceExhausted, "disk full");
  }
};

TEST_F(HttpClientTest, AnErrorOfTheBodyIsReturnedAsItIs) {
  serve(Response{.body = "data"});
  FullSink full;
  const auto result = client_->send(request(), full, {});
  EXPECT_EQ(code_of(result), "resource_exhausted");
  EXPECT_EQ(message_of(result), "disk full");
}

TEST_F(HttpClientTest, ARefusedBodyIsDroppedAndTheResponseReturned) {
  for (const size_t bytes : {size_t{10}, size_t{8} << 20U}) {
    serve(Response{.status = 401, .body = std::string(bytes, 'x')});
    const auto only_ok = [](const HttpResponse& response) { return response.status == 200; };
    EXPECT_EQ(must(client_->send(request(), body_, {}, only_ok)).status, 401);
    EXPECT_EQ(body_.data(), "");
  }
}

TEST_F(HttpClientTest, ProgressCountsToTheTotal) {
  serve(Response{.body = std::string(100'000, 'p')});
  uint64_t last = 0;
  uint64_t total = 0;
  HttpRequest r = request();
  r.on_download = [&](uint64_t done, uint64_t all) {
    last = done;
    total = all;
  };
  must(send(r));
  EXPECT_EQ(last, 100'000U);
  EXPECT_EQ(total, 100'000U);
}

TEST_F(HttpClientTest, EndlessHeadersAreRefused) {
  std::string raw = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 300; ++i)
    raw += "X-" + std::to_string(i) + ": " + std::string(1000, 'h') + "\r\n";
  serve(Response{.raw = raw + "\r\n"});
  EXPECT_NE(code_of(send(request())), "ok");
}

TEST_F(HttpClientTest, InterimResponsesAreSkipped) {
  serve(Response{
      .raw = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
             "2\r\n\r\nok"});
  const HttpResponse response = must(send(request()));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("link"), std::nullopt);
  EXPECT_EQ(body_.data(), "ok");
}

TEST_F(HttpClientTest, ChunkedBodiesAreJoinedAndCutOnesNoticed) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  serve(Response{.raw = head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"});
  must(send(request()));
  EXPECT_EQ(body_.take(), "abcde");
  serve(Response{.raw = head + "5\r\nab"});
  EXPECT_EQ(code_of(send(request())), "unavailable");
}

TEST_F(HttpClientTest, CompressedBodiesAreLeftAsTheyAre) {
  serve(Response{.headers = {{"Content-Encoding", "gzip"}}, .body = "not really gzip"});
  must(send(request()));
  EXPECT_EQ(body_.data(), "not really gzip");
}

TEST_F(HttpClientTest, ErrorsNameTheUrlWithoutItsSecrets) {
  serve(Response{});
  HttpRequest r;
  r.url = "http://user:hunter2@" + server_->host() + "/path?token=hunter2";
  server_.reset();
  const std::string message = message_of(send(r));
  EXPECT_EQ(message.find("hunter2"), std::string::npos) << message;
  EXPECT_NE(message.find("/path"), std::string::npos) << message;
}

TEST_F(HttpClientTest, ManyThreadsShareOneClient) {
  serve([](const Request& r) { return Response{.body = r.path}; });
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([this, t] {
      for (int i = 0; i < 10; ++i) {
        StringSink sink;
        const std::string path = "/" + std::to_string(t) + "/" + std::to_string(i);
        EXPECT_EQ(code_of(client_->send(request(path), sink, {})), "ok");
        EXPECT_EQ(sink.data(), path);
      }
    });
}

}  // namespace
}  // namespace kiln
