// One request and its response over one pair of libcurl handles. The multi interface is used for a
// single transfer so that a stop request can wake it at once; libcurl's own progress callback comes
// about once a second.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/curl_api.h"
#include "base/http_certificates.h"
#include "base/http_client.h"

namespace kiln::internal {

/// Owns an easy handle and the multi handle that keeps its connections alive between transfers.
class CurlHandles {
 public:
  static Result<CurlHandles> create(const CurlApi& api);
  CurlHandles(CurlHandles&& other) noexcept;
  CurlHandles& operator=(CurlHandles&&) = delete;
  ~CurlHandles();
  CURL* easy() const { return easy_; }
  CURLM* multi() const { return multi_; }

 private:
  explicit CurlHandles(const CurlApi& api) : api_(&api) {}
  const CurlApi* api_;
  CURL* easy_ = nullptr;
  CURLM* multi_ = nullptr;
};

/// What is the same in all requests of a client.
struct HttpIdentity {
  std::string user_agent;
  std::string http_proxy;  // for http://; "": as the environment has it
};

class HttpTransfer {
 public:
  using Accept = std::function<bool(const HttpResponse&)>;
  /// All arguments are borrowed for the life of the transfer.
  HttpTransfer(const CurlApi& api, CurlHandles& handles, const HttpRequest& request, Sink& body,
               const Accept& accept);
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  ~HttpTransfer();
  Result<HttpResponse> run(const HttpIdentity& identity, std::stop_token stop);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  enum class Phase : uint8_t { kSending, kAwaitingHeaders, kBody };

  Status set_options(const HttpIdentity& identity);
  void set_proxy(const std::string& http_proxy);
  Status set_tls();
  Status set_method();
  Status add_header(const std::string& line);
  Status drive(const std::stop_token& stop);
  Result<HttpResponse> finish(CURLcode code);
  Error curl_error(CURLcode code) const;
  template <class Value>
  void set(CURLoption option, Value value);
  SteadyTime deadline() const;
  void touch() { last_activity_ = std::chrono::steady_clock::now(); }

  // Called by libcurl. A return value other than the full size aborts the transfer; error_ says
  // why.
  static CURLcode on_ssl_context(CURL* easy, void* ssl_ctx, void* self);
  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  static size_t on_read(char* buffer, size_t size, size_t count, void* self);
  bool header_line(std::string_view line);
  void headers_done();
  bool body_data(std::span<const std::byte> data);
  Result<size_t> request_data(std::span<std::byte> buffer);

  const CurlApi& api_;
  CurlHandles& handles_;
  const HttpRequest& request_;
  Sink& body_;
  const Accept& accept_;

  curl_slist* header_list_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> curl_message_{};
  std::optional<CURLcode> option_error_;
  std::shared_ptr<CertificateOffer> offer_;  // of several certificates
  HttpResponse response_;
  std::optional<Error> error_;
  Phase phase_ = Phase::kAwaitingHeaders;
  SteadyTime last_activity_ = std::chrono::steady_clock::now();
  uint64_t header_bytes_ = 0, sent_bytes_ = 0, received_bytes_ = 0;
  uint64_t total_bytes_ = 0;  // of the response body; 0: unknown
  bool accepted_ = true;
  bool dropped_ = false;  // the rest of an unwanted body was not read
};

}  // namespace kiln::internal
