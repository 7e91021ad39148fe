#include "base/http_transfer.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "base/wake.h"

namespace kiln::internal {
namespace {

constexpr uint64_t kMaxHeaderBytes = 256U << 10U;
// An unwanted body up to this size is read, which keeps the connection; a longer one is cut.
constexpr uint64_t kMaxDrainedBytes = 64U << 10U;
constexpr int kMaxPollMs = 10'000;

// The request as errors show it. Credentials and the query (signed URLs carry tokens in it) stay
// out of messages.
std::string describe(const HttpRequest& request) {
  std::string_view url = request.url;
  url = url.substr(0, url.find_first_of("?#"));
  const size_t authority = url.find("://");
  if (authority == std::string_view::npos) return request.method;
  const std::string scheme(url.substr(0, authority + 3));
  url.remove_prefix(authority + 3);
  const size_t at = url.substr(0, url.find('/')).rfind('@');
  if (at != std::string_view::npos) url.remove_prefix(at + 1);
  return request.method + " " + quote(scheme + std::string(url));
}

// What only this machine means by its name: no proxy reaches it. As Go's clients, so docker's, have
// it.
bool is_of_this_machine(std::string_view url) {
  url.remove_prefix(std::min(url.find("://"), url.size() - 3) + 3);
  std::string_view host = url.substr(0, url.find_first_of("/?#"));
  host.remove_prefix(std::min(host.rfind('@') + 1, host.size()));  // npos + 1 is 0
  if (host.starts_with('[')) return host.substr(0, host.find(']')) == "[::1";
  const std::string name = to_lower(host.substr(0, host.find(':')));
  in_addr address{};
  if (::inet_aton(name.c_str(), &address) != 0) return (ntohl(address.s_addr) >> 24U) == 127;
  return name == "localhost" || name.ends_with(".localhost");
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7F && std::strchr("()<>@,;:\\\"/[]?={}", c) == nullptr;
  });
}

bool is_header_value(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

Code code_of(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
      return Code::kInvalidArgument;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return Code::kPermissionDenied;
    case CURLE_OUT_OF_MEMORY:
      return Code::kResourceExhausted;
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_FAILED_INIT:
      return Code::kInternal;
    default:
      return Code::kUnavailable;
  }
}

bool has_header(const HttpRequest& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [name](const auto& header) { return equal_fold(header.first, name); });
}

Status check(const HttpRequest& request) {
  if (!is_token(request.method))
    return fail(Code::kInvalidArgument, quote(request.method) + " is not an HTTP method");
  const std::string scheme = to_lower(request.url.substr(0, request.url.find("://")));
  if (scheme != "http" && scheme != "https")
    return fail(Code::kInvalidArgument, "only http and https URLs can be fetched");
  for (const auto& [name, value] : request.headers)
    if (!is_token(name) || !is_header_value(value))
      return fail(Code::kInvalidArgument, "invalid HTTP header " + quote(name));
  return {};
}

}  // namespace

Result<CurlHandles> CurlHandles::create(const CurlApi& api) {
  CurlHandles handles(api);
  handles.easy_ = api.easy_init();
  handles.multi_ = api.multi_init();
  if (handles.easy_ == nullptr || handles.multi_ == nullptr)
    return fail(Code::kResourceExhausted, "libcurl gives no handle");
  return handles;
}

CurlHandles::CurlHandles(CurlHandles&& other) noexcept
    : api_(other.api_),
      easy_(std::exchange(other.easy_, nullptr)),
      multi_(std::exchange(other.multi_, nullptr)) {}

CurlHandles::~CurlHandles() {
  if (easy_ != nullptr) api_->easy_cleanup(easy_);
  if (multi_ != nullptr) (void)api_->multi_cleanup(multi_);  // fails only for a bad handle
}

HttpTransfer::HttpTransfer(const CurlApi& api, CurlHandles& handles, const HttpRequest& request,
                           Sink& body, const Accept& accept)
    : api_(api), handles_(handles), request_(request), body_(body), accept_(accept) {}

HttpTransfer::~HttpTransfer() {
  // Takes an unfinished transfer's connection with it, and ends the callbacks into this object.
  (void)api_.multi_remove_handle(handles_.multi(), handles_.easy());
  api_.easy_reset(handles_.easy());
  api_.slist_free_all(header_list_);
}

template <class Value>
void HttpTransfer::set(CURLoption option, Value value) {
  const CURLcode code = api_.easy_setopt(handles_.easy(), option, value);
  if (code != CURLE_OK && !option_error_) option_error_ = code;
}

Status HttpTransfer::add_header(const std::string& line) {
  curl_slist* const longer = api_.slist_append(header_list_, line.c_str());
  if (longer == nullptr) return fail(Code::kResourceExhausted, "out of memory");
  header_list_ = longer;
  return {};
}

Status HttpTransfer::set_method() {
  const std::string& method = request_.method;
  if (request_.body != nullptr) {
    phase_ = Phase::kSending;
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, &HttpTransfer::on_read);
    set(CURLOPT_READDATA, static_cast<void*>(this));
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request_.body_bytes));
  } else if (method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (method == "POST" || method == "PUT" || method == "PATCH") {
    // No body still needs "Content-Length: 0".
    set(CURLOPT_POSTFIELDS, "");
    set(CURLOPT_POSTFIELDSIZE, 0L);
    if (!has_header(request_, "content-type")) KILN_TRY(add_header("Content-Type:"));
  }
  if (method != "HEAD") set(CURLOPT_CUSTOMREQUEST, method.c_str());
  // libcurl would wait a second for "100 Continue" from servers that never say it.
  if (!has_header(request_, "expect")) KILN_TRY(add_header("Expect:"));
  for (const auto& [name, value] : request_.headers)
    KILN_TRY(add_header(std::string(name).append(value.empty() ? ";" : ": ").append(value)));
  set(CURLOPT_HTTPHEADER, header_list_);
  return {};
}

Status HttpTransfer::set_tls() {
  set(CURLOPT_SSL_VERIFYPEER, request_.insecure_tls ? 0L : 1L);
  set(CURLOPT_SSL_VERIFYHOST, request_.insecure_tls ? 0L : 2L);
  curl_blob ca{};
  if (!request_.ca_pem.empty()) {
    ca.data = const_cast<char*>(request_.ca_pem.data());  // only read: CURL_BLOB_COPY
    ca.len = request_.ca_pem.size();
    ca.flags = CURL_BLOB_COPY;
    set(CURLOPT_CAINFO_BLOB, &ca);
  }
  const std::vector<ClientCertificate>& certificates = request_.client_certificates;
  if (certificates.empty()) return {};
  set(CURLOPT_SSLCERT, certificates.front().certificate_file.c_str());
  set(CURLOPT_SSLKEY, certificates.front().key_file.c_str());
  if (certificates.size() == 1) return {};
  offer_ = std::make_shared<CertificateOffer>(certificates);
  KILN_TRY(CertificateOffer::check(api_));
  set(CURLOPT_SSL_CTX_FUNCTION, &HttpTransfer::on_ssl_context);
  set(CURLOPT_SSL_CTX_DATA, static_cast<void*>(this));
  return {};
}

// libcurl leaves HTTP_PROXY alone, since a CGI program's client could have set it; docker does not.
void HttpTransfer::set_proxy(const std::string& http_proxy) {
  if (is_of_this_machine(request_.url)) {
    set(CURLOPT_PROXY, "");  // whatever the environment says
  } else if (!http_proxy.empty() && to_lower(request_.url.substr(0, 5)) == "http:") {
    set(CURLOPT_PROXY, http_proxy.c_str());
  }
}

Status HttpTransfer::set_options(const HttpIdentity& identity) {
  set(CURLOPT_ERRORBUFFER, curl_message_.data());
  set(CURLOPT_URL, request_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, identity.user_agent.c_str());
  set_proxy(identity.http_proxy);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);  // digests are of the bytes as sent
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request_.header_timeout.count()));
  // Refused, and as it was, if this handle's last transfer found no host: libcurl keeps its buffer
  // then. It is about speed alone.
  (void)api_.easy_setopt(handles_.easy(), CURLOPT_BUFFERSIZE, 256L << 10U);
  set(CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10U);
  KILN_TRY(set_tls());
  set(CURLOPT_HEADERFUNCTION, &HttpTransfer::on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &HttpTransfer::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  KILN_TRY(set_method());
  if (option_error_) return tl::unexpected(curl_error(*option_error_));
  return {};
}

// libcurl's low-speed limit also counts the time that a slow `body` takes; this counts from the
// last sign of the peer.
HttpTransfer::SteadyTime HttpTransfer::deadline() const {
  return last_activity_ +
         (phase_ == Phase::kAwaitingHeaders ? request_.header_timeout : request_.stall_timeout);
}

Status HttpTransfer::drive(const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const StopWaker waker, StopWaker::create(stop));
  curl_waitfd wake{waker.fd(), CURL_WAIT_POLLIN, 0};
  const unsigned int wake_count = waker.fd() >= 0 ? 1 : 0;
  for (int running = 1;;) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "cancelled");
    const CURLMcode code = api_.multi_perform(handles_.multi(), &running);
    if (code != CURLM_OK) return fail(Code::kInternal, api_.multi_strerror(code));
    if (running == 0) return {};
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline() - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return fail(
          Code::kUnavailable,
          phase_ == Phase::kAwaitingHeaders
              ? "timed out waiting for a response"
              : "timed out: no data for " + std::to_string(request_.stall_timeout.count()) + " s");
    const int timeout_ms = static_cast<int>(std::min<int64_t>(left.count(), kMaxPollMs));
    const CURLMcode polled =
        api_.multi_poll(handles_.multi(), &wake, wake_count, timeout_ms, nullptr);
    if (polled != CURLM_OK) return fail(Code::kInternal, api_.multi_strerror(polled));
  }
}

Error HttpTransfer::curl_error(CURLcode code) const {
  const char* detail = curl_message_[0] != '\0' ? curl_message_.data() : api_.easy_strerror(code);
  return Error(code_of(code), printable(detail));
}

Result<HttpResponse> HttpTransfer::finish(CURLcode code) {
  // `dropped_` made the write callback fail on purpose.
  if (error_) return tl::unexpected(*error_);
  if (const std::string file = offer_ ? offer_->unusable() : ""; code != CURLE_OK && !file.empty())
    return tl::unexpected(
        Error(Code::kInvalidArgument, "client certificate: " + quote(file) + " cannot be used")
            .wrap(describe(request_)));
  if (code != CURLE_OK && !dropped_)
    return tl::unexpected(curl_error(code).wrap(describe(request_)));
  return std::move(response_);
}

Result<HttpResponse> HttpTransfer::run(const HttpIdentity& identity, std::stop_token stop) {
  KILN_TRY(check(request_));
  const auto in_context = [this](const Error& error) {
    return tl::unexpected(error.wrap(describe(request_)));
  };
  if (const Status set = set_options(identity); !set) return in_context(set.error());
  if (api_.multi_add_handle(handles_.multi(), handles_.easy()) != CURLM_OK)
    return in_context(Error(Code::kInternal, "libcurl refuses the transfer"));
  touch();
  if (const Status driven = drive(stop); !driven) return in_context(driven.error());
  int left = 0;
  const CURLMsg* message = api_.multi_info_read(handles_.multi(), &left);
  KILN_CHECK(message != nullptr && message->msg == CURLMSG_DONE);
  return finish(message->data.result);
}

CURLcode HttpTransfer::on_ssl_context(CURL* /*easy*/, void* ssl_ctx, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  const Status made = CertificateOffer::make(transfer->offer_, transfer->api_, ssl_ctx);
  if (made) return CURLE_OK;
  transfer->error_ = made.error();
  return CURLE_ABORTED_BY_CALLBACK;
}

size_t HttpTransfer::on_header(char* data, size_t size, size_t count, void* self) {
  return static_cast<HttpTransfer*>(self)->header_line({data, size * count}) ? size * count : 0;
}

size_t HttpTransfer::on_body(char* data, size_t size, size_t count, void* self) {
  const auto bytes = std::as_bytes(std::span(data, size * count));
  return static_cast<HttpTransfer*>(self)->body_data(bytes) ? size * count : CURL_WRITEFUNC_ERROR;
}

size_t HttpTransfer::on_read(char* buffer, size_t size, size_t count, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  auto n = transfer->request_data(std::as_writable_bytes(std::span(buffer, size * count)));
  if (n) return *n;
  transfer->error_ = n.error();
  return CURL_READFUNC_ABORT;
}

bool HttpTransfer::header_line(std::string_view line) {
  touch();
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    error_ =
        Error(Code::kResourceExhausted, describe(request_) + ": response headers exceed 256 KiB");
    return false;
  }
  if (phase_ == Phase::kBody) return true;  // trailers of a chunked body: nothing asks for them
  const bool folded = line.starts_with(' ') || line.starts_with('\t');
  const std::string_view text = trim(line);
  if (text.starts_with("HTTP/")) {
    response_ = {};  // an earlier block was a "100 Continue" or the like
  } else if (text.empty()) {
    headers_done();
  } else if (folded && !response_.headers.empty()) {
    response_.headers.back().second.append(" ").append(text);
  } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    response_.headers.emplace_back(to_lower(trim(text.substr(0, colon))),
                                   std::string(trim(text.substr(colon + 1))));
  }
  return true;
}

void HttpTransfer::headers_done() {
  long status = 0;
  (void)api_.easy_getinfo(handles_.easy(), CURLINFO_RESPONSE_CODE, &status);  // 0 on failure
  if (status >= 100 && status < 200) return;
  response_.status = static_cast<int>(status);
  phase_ = Phase::kBody;
  if (const auto length = response_.header("content-length")) {
    const auto bytes = parse_int(*length);
    if (bytes && *bytes > 0) total_bytes_ = static_cast<uint64_t>(*bytes);
  }
  accepted_ = !accept_ || accept_(response_);
}

bool HttpTransfer::body_data(std::span<const std::byte> data) {
  received_bytes_ += data.size();
  if (!accepted_) {
    dropped_ = received_bytes_ > kMaxDrainedBytes;
    touch();
    return !dropped_;
  }
  if (const Status written = body_.write(data); !written) {
    error_ = written.error();
    return false;
  }
  if (request_.on_download) request_.on_download(received_bytes_, total_bytes_);
  touch();  // after the write: its time is not the peer's
  return true;
}

Result<size_t> HttpTransfer::request_data(std::span<std::byte> buffer) {
  const uint64_t left = request_.body_bytes - sent_bytes_;
  const size_t want = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
  size_t n = 0;
  if (want > 0) {
    KILN_TRY_ASSIGN(n, request_.body->read(buffer.first(want)));
    if (n == 0)
      return fail(Code::kFailedPrecondition, describe(request_) + ": the request body ends " +
                                                 std::to_string(left) + " bytes early");
  }
  sent_bytes_ += n;
  if (sent_bytes_ == request_.body_bytes && phase_ == Phase::kSending)
    phase_ = Phase::kAwaitingHeaders;
  touch();
  return n;
}

}  // namespace kiln::internal
