// A small HTTP/1.1 server on a loopback port, for tests. A handler turns each request into a
// response; a response can be cut, stalled or reset on purpose, or be raw bytes. Every request is
// kept, so that a test can say what did not happen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace kiln::fake {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string target;       // as sent: "/v2/?n=1"
  std::string path, query;  // its two halves, not decoded
  Headers headers;          // names in lower case
  std::string body;         // chunked bodies are joined
  size_t connection = 0;    // 1 for the first connection accepted
  std::optional<std::string> header(std::string_view lower_case_name) const;
};

enum class Fault : uint8_t {
  kNone,
  kClose,  // the connection ends after `fault_after` bytes of the body
  kReset,  // as kClose, with RST instead of FIN
  kStall   // silence after `fault_after` bytes of the body, until the client goes away
};

struct Response {
  int status = 200;
  Headers headers = {};   // Content-Length is added unless it or Transfer-Encoding is here
  std::string body = {};  // not sent for HEAD
  Fault fault = Fault::kNone;
  size_t fault_after = 0;               // bytes of the body
  bool silent = false;                  // with a fault: not even the status line is sent
  std::optional<std::string> raw = {};  // sent instead of all above; the connection then closes
};

/// Serves until destroyed. The handler is called from several threads at once, one per connection.
class HttpServer {
 public:
  using Handler = std::function<Response(const Request&)>;
  static Result<std::unique_ptr<HttpServer>> start(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  std::string host() const;                            // "127.0.0.1:4711"
  std::string url(std::string_view path = "/") const;  // "http://127.0.0.1:4711/..."
  std::vector<Request> requests() const;               // in order of arrival, all so far
  size_t count(std::string_view method, std::string_view path) const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kiln::fake
