// A server for tests that speak to it over sockets.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "base/fd.h"
#include "cache/server/http_server.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {

/// A connection whose bytes the test writes itself.
class RawClient {
 public:
  explicit RawClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    struct sockaddr_in address {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(fd_.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) == 0;
  }
  bool connected() const { return connected_; }
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;  // the server had enough: its answer tells
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  /// One response: its head, and its body if it has a length.
  std::string response(bool head_only = false) {
    size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return std::exchange(buffer_, {});
    end += 4;
    const std::string key = "Content-Length: ";
    const size_t at = buffer_.find(key);
    if (at < end && !head_only) end += std::stoul(buffer_.substr(at + key.size()));
    while (buffer_.size() < end && more()) {
    }
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end);
    return text;
  }
  /// Everything until the server closes.
  std::string rest() {
    while (more()) {
    }
    return std::exchange(buffer_, {});
  }

 private:
  bool more() {
    char bytes[4096];
    const ssize_t n = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }
  Fd fd_;
  bool connected_ = false;
  std::string buffer_;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start(HttpOptions options = {}) {
    server_ =
        fake::must(HttpServer::start(options, registry_.service(), registry_.metrics().gauges));
  }
  RawClient client() const { return RawClient(server_->port()); }
  std::string new_upload() const {
    return registry_.ask({"POST", "/v2/a/blobs/uploads/"}).header("location");
  }
  std::string push(const std::string& bytes) const {
    const std::string digest = digest_of(bytes);
    EXPECT_EQ(registry_.ask({"POST", "/v2/a/blobs/uploads/?digest=" + digest, bytes}).status, 201);
    return digest;
  }
  static std::string head(const std::string& first, const std::string& headers = "") {
    return first + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n";
  }

  TestRegistry registry_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace kiln::server
