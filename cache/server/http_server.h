// HTTP/1.1 for a Handler: many connections on a few threads, with blocking work on others. Bodies
// stream, files go out by sendfile(2), whoever stalls is dropped, and stopping lets what runs end.
#pragma once

#include "base/result.h"
#include "cache/server/http_message.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace kiln::server {

struct TlsFiles {
  std::string certificate, key;  // PEM
  std::string client_ca;         // PEM; "": clients need no certificate
  bool client_optional = false;  // with client_ca: those without one are let in too
  bool operator==(const TlsFiles&) const = default;
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: the kernel chooses
  std::optional<TlsFiles> tls;
  size_t max_connections = 1024, max_connections_per_client = 512;
  size_t max_header_bytes = 16U << 10U;
  size_t io_threads = 2, disk_threads = 8;
  std::chrono::milliseconds header_timeout{30000};
  std::chrono::milliseconds idle_timeout{60000};   // between requests
  std::chrono::milliseconds stall_timeout{60000};  // within a body, either way
  std::chrono::milliseconds stop_grace{30000};
  bool operator==(const HttpOptions&) const = default;
};

/// What a server is doing just now.
struct Gauges {
  std::atomic<int64_t> connections{0}, requests{0};
  std::atomic<uint64_t> refused_connections{0}, timeouts{0};
};

class HttpServer {
 public:
  /// Listens when it returns. `handler` and `gauges` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> start(const HttpOptions& options, Handler& handler,
                                                   Gauges& gauges);
  virtual ~HttpServer() = default;  // as stop()
  virtual uint16_t port() const = 0;
  /// For connections that come from now on; those that are there keep what they have. After an
  /// error nothing is different. kFailedPrecondition: this server speaks no TLS.
  virtual Status replace_tls(const TlsFiles& files) = 0;
  /// Takes no more connections, lets running requests end within the grace, then returns.
  virtual void stop() = 0;
};

}  // namespace kiln::server
