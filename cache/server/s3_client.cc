#include "cache/server/s3_client.h"

#include <algorithm>
#include <ctime>
#include <thread>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/io.h"
#include "base/strings.h"
#include "cache/server/blob_digest.h"
#include "cache/server/http_message.h"
#include "cache/server/s3_error.h"
#include "oci/url.h"

namespace kiln::server {
namespace {

constexpr uint64_t kMaxAnswerBytes = 8U << 20U;  // of XML: a page of a listing has 1,000 entries
constexpr size_t kPageEntries = 1000;
constexpr const char* kUserAgent = "kiln/" KILN_VERSION;
constexpr size_t kMaxPages = 100'000;
constexpr auto kAnswerTimeout = std::chrono::seconds(30);
// Copies are made before the answer comes.
constexpr auto kCopyTimeout = std::chrono::seconds(300);
constexpr auto kStallTimeout = std::chrono::seconds(30);
// Whoever asks whether a server is ready asks again soon.
constexpr auto kProbeTimeout = std::chrono::seconds(5);
constexpr auto kMaxDelay = std::chrono::milliseconds(3200);

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

/// Text that is somebody else's, as a stream.
class ViewSource : public Source {
 public:
  explicit ViewSource(std::string_view data) : left_(data) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    const size_t n = std::min(buffer.size(), left_.size());
    std::copy_n(as_bytes(left_).data(), n, buffer.data());
    left_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view left_;
};

class BoundedSink : public Sink {
 public:
  explicit BoundedSink(uint64_t limit) : limit_(limit) {}
  Status write(std::span<const std::byte> data) override {
    if (data.size() > limit_ - text.size())
      return fail(Code::kResourceExhausted,
                  "the object storage sends more than " + human_bytes(limit_));
    text += as_text(data);
    return {};
  }
  std::string text;

 private:
  const uint64_t limit_;
};

// "Wed, 21 Oct 2015 07:28:00 GMT" (RFC 9110, 5.6.7).
std::optional<Time> parse_http_date(const std::string& text) {
  struct tm parts {};
  const char* const end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

Result<Time> date_of(const HttpResponse& response, std::string_view header) {
  const auto time = parse_http_date(response.header(header).value_or(""));
  if (!time)
    return fail(Code::kDataLoss,
                "the object storage's answer has no header " + std::string(header));
  return *time;
}

}  // namespace

struct S3Client::Call {
  std::string method, key;  // "": the bucket
  S3Query query = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  // names in lower case
  std::string_view body = {};
  uint64_t limit = kMaxAnswerBytes;  // of the answer
  std::chrono::seconds timeout = kAnswerTimeout;
  // libcurl sends a request again by itself if a connection that it had used before breaks off.
  enum class Connection : uint8_t { kAny, kOwn } connection = Connection::kAny;
};

struct S3Client::Answer {
  HttpResponse head;
  std::string body;
  int attempts = 1;  // the last one was answered so
};

S3Client::S3Client(S3Options options)
    : options_(std::move(options)), http_(HttpClient::create(kUserAgent)) {}
S3Client::~S3Client() = default;

Result<std::unique_ptr<S3Client>> S3Client::create(S3Options options) {
  if (options.credentials.empty())
    return tl::unexpected(
        Error(Code::kInvalidArgument, "there is no key for the object storage")
            .hint("set access_key_id and secret_access_key in [storage] of --config, or "
                  "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"));
  const bool is_custom = !options.endpoint.empty();
  if (!is_custom) options.endpoint = "https://s3." + options.region + ".amazonaws.com";
  const Result<oci::Url> url = oci::Url::parse(options.endpoint);
  const size_t begin = options.endpoint.find("://") + 3;
  std::string host = options.endpoint.substr(std::min(begin, options.endpoint.size()));
  if (host.ends_with('/')) host.pop_back();
  if (!url || host.empty() || host.find_first_of("/?#") != std::string::npos)
    return fail(Code::kInvalidArgument,
                quote(options.endpoint) + " is no endpoint like \"https://storage.example:9000\"");
  std::unique_ptr<S3Client> client(new S3Client(std::move(options)));
  const S3Options& set = client->options_;
  client->scheme_ = set.endpoint.substr(0, begin);
  client->bucket_in_path_ = set.addressing == S3Options::Addressing::kPath ||
                            (set.addressing == S3Options::Addressing::kAuto && is_custom);
  client->host_ = client->bucket_in_path_ ? host : set.bucket + "." + host;
  return client;
}

std::string S3Client::target(const std::string& key) const {
  if (!bucket_in_path_) return s3_encode_path("/" + key);
  // Without a slash at the end: some servers sign the bucket's own path so, whatever was sent.
  return s3_encode_path("/" + options_.bucket + (key.empty() ? "" : "/" + key));
}

std::string S3Client::copy_source(const std::string& key) const {
  return s3_encode_path("/" + options_.bucket + "/" + key);
}

Result<S3Client::Answer> S3Client::send_once(const Call& call) {
  S3SignedRequest to_sign;
  to_sign.method = call.method;
  to_sign.path = target(call.key);
  to_sign.query = call.query;
  to_sign.payload_hash = BlobDigest::of(HashAlgorithm::kSha256, call.body).hex();
  to_sign.region = options_.region;
  to_sign.time = s3_time(Clock::system().now());
  to_sign.headers = call.headers;
  to_sign.headers.emplace_back("host", host_);
  to_sign.headers.emplace_back("x-amz-content-sha256", to_sign.payload_hash);
  to_sign.headers.emplace_back("x-amz-date", to_sign.time);
  if (!options_.credentials.session_token.empty())
    to_sign.headers.emplace_back("x-amz-security-token", options_.credentials.session_token);

  HttpRequest request;
  request.method = call.method;
  request.url = scheme_ + host_ + to_sign.path;
  if (!call.query.empty()) request.url += "?" + s3_encode_query(call.query);
  request.headers = to_sign.headers;
  request.headers.emplace_back("authorization", s3_authorization(to_sign, options_.credentials));
  request.ca_pem = options_.ca_pem;
  request.header_timeout = call.timeout;
  request.stall_timeout = std::min<std::chrono::seconds>(kStallTimeout, call.timeout);
  ViewSource body(call.body);
  if (!call.body.empty()) {
    request.body = &body;
    request.body_bytes = call.body.size();
  }
  BoundedSink sink(call.limit);
  std::unique_ptr<HttpClient> own;
  if (call.connection == Call::Connection::kOwn) own = HttpClient::create(kUserAgent);
  KILN_TRY_ASSIGN(HttpResponse response, (own ? *own : *http_).send(request, sink, {}));
  const std::string what = call.method + " " + quote(options_.bucket + "/" + call.key);
  // Of copies and completions, 200 says only that it began.
  const bool failed_later = response.status == 200 && call.method != "GET" &&
                            sink.text.find("<Error>") != std::string::npos;
  if (response.status / 100 != 2 || failed_later) {
    S3Refusal refusal = read_s3_refusal(failed_later ? 500 : response.status, sink.text);
    if (refusal.region.empty())
      refusal.region = response.header("x-amz-bucket-region").value_or("");
    if (refusal.region == options_.region) refusal.region.clear();
    return tl::unexpected(s3_error(refusal, what));
  }
  return Answer{std::move(response), std::move(sink.text)};
}

// Every call here may be made twice.
Result<S3Client::Answer> S3Client::send(const Call& call) {
  std::chrono::milliseconds delay = options_.first_delay;
  for (int attempt = 1;; ++attempt) {
    Result<Answer> answer = send_once(call);
    if (answer) answer->attempts = attempt;
    if (answer || answer.error().code() != Code::kUnavailable || attempt >= options_.attempts)
      return answer;
    std::this_thread::sleep_for(delay);
    delay = std::min<std::chrono::milliseconds>(delay * 2, kMaxDelay);
  }
}

Result<std::optional<S3Head>> S3Client::head(const std::string& key) {
  const Result<Answer> answer = send({"HEAD", key});
  if (!answer && answer.error().code() == Code::kNotFound) return std::nullopt;
  if (!answer) return tl::unexpected(answer.error());
  S3Head head;
  const auto size = parse_int(answer->head.header("content-length").value_or(""));
  if (!size || *size < 0) return fail(Code::kDataLoss, "the object storage tells no size");
  head.size = static_cast<uint64_t>(*size);
  KILN_TRY_ASSIGN(head.modified, date_of(answer->head, "last-modified"));
  KILN_TRY_ASSIGN(head.now, date_of(answer->head, "date"));
  return head;
}

Result<std::string> S3Client::get(const std::string& key, uint64_t limit) {
  Call call{"GET", key};
  call.limit = std::max(limit, kMaxAnswerBytes);  // a refusal is no object
  KILN_TRY_ASSIGN(Answer answer, send(call));
  if (answer.body.size() > limit)
    return fail(Code::kResourceExhausted,
                quote(key) + " in the object storage has more than " + human_bytes(limit));
  return std::move(answer.body);
}

Result<std::string> S3Client::get_range(const std::string& key, uint64_t offset, uint64_t length) {
  Call call{"GET", key};
  call.headers = {
      {"range", "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + length - 1)}};
  call.limit = std::max(length, kMaxAnswerBytes);
  KILN_TRY_ASSIGN(Answer answer, send(call));
  if (answer.body.size() != length || answer.head.status != 206)
    return fail(Code::kDataLoss,
                quote(key) + " in the object storage: " + std::to_string(answer.body.size()) +
                    " bytes came, not " + std::to_string(length));
  return std::move(answer.body);
}

Status S3Client::put(const std::string& key, std::string_view data) {
  Call call{"PUT", key};
  call.body = data;
  KILN_TRY(send(call));
  return {};
}

Status S3Client::remove(const std::string& key) {
  const Result<Answer> answer = send({"DELETE", key});
  if (!answer && answer.error().code() != Code::kNotFound) return tl::unexpected(answer.error());
  return {};
}

Result<S3Client::Removal> S3Client::remove_traced(const std::string& key) {
  Call call{"DELETE", key};
  call.connection = Call::Connection::kOwn;
  const Result<Answer> answer = send(call);
  if (answer) return answer->attempts > 1 ? Removal::kRepeated : Removal::kDone;
  // Some storages say so of what is absent, for one because an attempt before took it.
  if (answer.error().code() == Code::kNotFound) return Removal::kRepeated;
  return tl::unexpected(answer.error());
}

Status S3Client::copy(const std::string& from, const std::string& to) {
  Call call{"PUT", to};
  call.headers = {{"x-amz-copy-source", copy_source(from)}};
  // Without it, a copy onto itself is refused as one that changes nothing.
  call.headers.emplace_back("x-amz-metadata-directive", "REPLACE");
  call.timeout = kCopyTimeout;
  KILN_TRY(send(call));
  return {};
}

// `token`: where to go on; "" at the end.
Result<S3Listing> S3Client::list_page(const std::string& prefix, const std::string& delimiter,
                                      size_t at_most, std::string& token) {
  Call call{"GET", ""};
  call.query = {{"list-type", "2"}, {"prefix", prefix}, {"max-keys", std::to_string(at_most)}};
  if (!delimiter.empty()) call.query.emplace_back("delimiter", delimiter);
  if (!token.empty()) call.query.emplace_back("continuation-token", token);
  KILN_TRY_ASSIGN(const Answer answer, send(call));
  KILN_TRY_ASSIGN(const XmlElement xml, parse_xml(answer.body));
  S3Listing page;
  KILN_TRY_ASSIGN(page.now, date_of(answer.head, "date"));
  for (const XmlElement& entry : xml.children) {
    if (entry.name == "CommonPrefixes") page.prefixes.push_back(entry.child("Prefix"));
    if (entry.name != "Contents") continue;
    S3Object object;
    object.key = entry.child("Key");
    KILN_TRY_ASSIGN(const int64_t size, parse_int(entry.child("Size")));
    object.size = static_cast<uint64_t>(size);
    KILN_TRY_ASSIGN(object.modified, parse_rfc3339(entry.child("LastModified")));
    page.objects.push_back(std::move(object));
  }
  const std::string next = xml.child("NextContinuationToken");
  if (xml.child("IsTruncated") == "true" && (next.empty() || next == token))
    return fail(Code::kDataLoss, "the object storage's listing does not say how it goes on");
  token = xml.child("IsTruncated") == "true" ? next : "";
  return page;
}

Result<S3Listing> S3Client::list(const std::string& prefix, const std::string& delimiter) {
  S3Listing all;
  std::string token;
  for (size_t pages = 0; pages < kMaxPages; ++pages) {
    KILN_TRY_ASSIGN(S3Listing page, list_page(prefix, delimiter, kPageEntries, token));
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(all.objects));
    std::move(page.prefixes.begin(), page.prefixes.end(), std::back_inserter(all.prefixes));
    all.now = page.now;
    if (token.empty()) return all;
  }
  return fail(Code::kResourceExhausted, "too many objects below " + quote(prefix));
}

Result<S3Listing> S3Client::list_first(const std::string& prefix, size_t at_most) {
  std::string token;
  return list_page(prefix, "", at_most, token);
}

Status S3Client::probe(const std::string& key) {
  Call call{"GET", ""};
  call.query = {{"list-type", "2"}, {"prefix", key}, {"max-keys", "1"}};
  call.timeout = kProbeTimeout;
  KILN_TRY_ASSIGN(const Answer answer, send_once(call));
  KILN_TRY_ASSIGN(const XmlElement xml, parse_xml(answer.body));
  const auto found = std::find_if(xml.children.begin(), xml.children.end(),
                                  [](const auto& entry) { return entry.name == "Contents"; });
  if (found != xml.children.end() && found->child("Key") == key) return {};
  return fail(Code::kNotFound, quote(key) + " is not in the object storage");
}

Result<std::string> S3Client::create_multipart(const std::string& key) {
  KILN_TRY_ASSIGN(const Answer answer, send({"POST", key, {{"uploads", ""}}}));
  KILN_TRY_ASSIGN(const XmlElement xml, parse_xml(answer.body));
  std::string id = xml.child("UploadId");
  if (id.empty()) return fail(Code::kDataLoss, "the object storage tells no upload's id");
  return id;
}

Result<std::string> S3Client::upload_part(const std::string& key, const std::string& upload,
                                          size_t number, std::string_view data) {
  Call call{"PUT", key, {{"partNumber", std::to_string(number)}, {"uploadId", upload}}};
  call.body = data;
  KILN_TRY_ASSIGN(const Answer answer, send(call));
  std::string tag = answer.head.header("etag").value_or("");
  if (tag.empty()) return fail(Code::kDataLoss, "the object storage tells no tag of a part");
  return tag;
}

Result<std::string> S3Client::copy_part(const std::string& key, const std::string& upload,
                                        size_t number, const std::string& from, uint64_t offset,
                                        uint64_t length) {
  Call call{"PUT", key, {{"partNumber", std::to_string(number)}, {"uploadId", upload}}};
  call.headers = {{"x-amz-copy-source", copy_source(from)},
                  {"x-amz-copy-source-range",
                   "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + length - 1)}};
  call.timeout = kCopyTimeout;
  KILN_TRY_ASSIGN(const Answer answer, send(call));
  KILN_TRY_ASSIGN(const XmlElement xml, parse_xml(answer.body));
  std::string tag = xml.child("ETag");
  if (tag.empty()) return fail(Code::kDataLoss, "the object storage tells no tag of a part");
  return tag;
}

Status S3Client::complete_multipart(const std::string& key, const std::string& upload,
                                    const std::vector<std::string>& tags) {
  std::string body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < tags.size(); ++i)
    body += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" +
            xml_escape(tags[i]) + "</ETag></Part>";
  body += "</CompleteMultipartUpload>";
  Call call{"POST", key, {{"uploadId", upload}}};
  call.headers = {{"content-type", "application/xml"}};
  call.body = body;
  call.timeout = kCopyTimeout;
  KILN_TRY(send(call));
  return {};
}

Status S3Client::abort_multipart(const std::string& key, const std::string& upload) {
  const Result<Answer> answer = send({"DELETE", key, {{"uploadId", upload}}});
  if (!answer && answer.error().code() != Code::kNotFound) return tl::unexpected(answer.error());
  return {};
}

}  // namespace kiln::server
