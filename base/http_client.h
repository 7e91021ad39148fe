// HTTP over libcurl (loaded and initialised on first use). Redirects are not followed here: a
// caller that follows one decides what travels along (SAFETY.md 4.1). Connections are reused within
// one client.
#pragma once

#include "base/io.h"
#include "base/result.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

/// PEM files; the first may have the certificates between its own and an authority's, too.
struct ClientCertificate {
  std::string certificate_file, key_file;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // http or https only
  std::vector<std::pair<std::string, std::string>> headers;
  Source* body = nullptr;  // borrowed; needs `body_bytes`
  uint64_t body_bytes = 0;
  std::string ca_pem;  // certificates to trust beside the system's
  /// To show a server that asks: the first from an authority that it names, else the first.
  std::vector<ClientCertificate> client_certificates;
  bool insecure_tls = false;
  std::chrono::seconds header_timeout{30}, stall_timeout{60};
  std::function<void(uint64_t done, uint64_t total)>
      on_download;  // called on the caller's thread; total 0: unknown
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;                   // names in lower case
  std::optional<std::string> header(std::string_view lower_case_name) const;  // the first
};

/// Thread-safe: each call takes a connection handle of its own from a pool.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  /// Blocks until the whole response went to `body` (kCancelled within a second of `stop`). A
  /// status is a value; kUnavailable: connect, time-out, reset, truncated body. kPermissionDenied:
  /// TLS verification. An error of `body` is returned as it is. `accept` sees status and headers
  /// before the body; if it returns false the body is dropped.
  virtual Result<HttpResponse> send(
      const HttpRequest& request, Sink& body, std::stop_token stop,
      const std::function<bool(const HttpResponse&)>& accept = {}) = 0;
  /// Proxies are those of the environment as libcurl reads it (http_proxy, https_proxy,
  /// HTTPS_PROXY, all_proxy, no_proxy), and for http:// `http_proxy` where it is not "". This
  /// machine's loopback is reached without one.
  static std::unique_ptr<HttpClient> create(std::string user_agent, std::string http_proxy = {});
};

}  // namespace kiln
