#include "oci/registry_client.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/strings.h"
#include "oci/image.h"

namespace kiln::oci {
namespace {

constexpr uint64_t kManifestLimit = 4U << 20U;
constexpr uint64_t kErrorLimit = 64U << 10U;
constexpr int kRepetitions = 3;
constexpr int kMaxRedirects = 10;
constexpr std::chrono::seconds kLongestPause{60};

std::string accepted_manifests() {
  std::string types;
  for (const std::string_view type : {media_type::kIndex, media_type::kManifest,
                                      media_type::kDockerIndex, media_type::kDockerManifest}) {
    types.append(types.empty() ? "" : ", ").append(type);
  }
  return types;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// False: stopped.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  (void)never.wait_for(lock, stop, time, [] { return false; });  // only time or stop end it
  return !stop.stop_requested();
}

// The registry's own words, bounded and safe to print.
std::string error_text(const std::string& body) {
  const auto json = Json::parse(body);
  if (!json) return {};
  for (const Json& error : (*json)["errors"].elements()) {
    const std::string& message = error["message"].as_string();
    const std::string& text = message.empty() ? error["code"].as_string() : message;
    if (!text.empty()) return printable(text.substr(0, 300));
  }
  return {};
}

// The media type that the document has by itself, else the one that the registry gave, else the one
// its fields show.
std::string type_of(const Json& document, const HttpResponse& response) {
  if (const std::string& own = document["mediaType"].as_string(); !own.empty()) return own;
  const std::string given = response.header("content-type").value_or("");
  std::string type(trim(std::string_view(given).substr(0, given.find(';'))));
  if (is_index(type) || is_manifest(type)) return type;
  return std::string(document.find("manifests") != nullptr ? media_type::kIndex
                                                           : media_type::kManifest);
}

Result<Url> base_url(const std::string& domain, std::string_view scheme) {
  const std::string host = domain == "docker.io" ? "registry-1.docker.io" : domain;
  return Url::parse(std::string(scheme) + "://" + host);
}

class NullSink : public Sink {
 public:
  Status write(std::span<const std::byte> /*data*/) override { return {}; }
};

// Docker trusts loopback registries whatever they speak and show. Http is asked first: a server
// that speaks https answers it with 400 or hangs up at once, while the other way round some wait
// for the end of a header that is none.
Result<Url> loopback_base(HttpClient& http, const std::string& domain,
                          const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const Url plain, base_url(domain, "http"));
  HttpRequest probe;
  Url url = plain;
  url.target = "/v2/";
  probe.url = url.to_string();
  NullSink nowhere;
  const auto answer = http.send(probe, nowhere, stop, [](const HttpResponse&) { return false; });
  if (answer && answer->status != 400) return plain;
  if (!answer && answer.error().code() == Code::kCancelled) return tl::unexpected(answer.error());
  return base_url(domain, "https");
}

}  // namespace

struct Repository::Answer {
  HttpResponse response;
  bool from_registry = false;  // not from where it redirected to
};

struct Repository::Attempt {
  std::chrono::milliseconds pause{0};  // before the next one; set by Retry-After
};

// Takes the body of a good response; of a bad one the text that says why.
class Repository::Body : public Sink {
 public:
  bool begin(const HttpResponse& response) {
    good_ = response.status == 200 || response.status == 206;
    reason_.clear();
    if (good_) {
      begin_error_ = begin_good(response);
      return true;
    }
    const auto length = parse_int(response.header("content-length").value_or(""));
    return length && *length >= 0 && static_cast<uint64_t>(*length) <= kErrorLimit;
  }
  Status write(std::span<const std::byte> data) override {
    if (good_) {
      KILN_TRY(begin_error_);
      return write_good(data);
    }
    if (reason_.size() < kErrorLimit) reason_.append(as_text(data));
    return {};
  }
  const std::string& reason() const { return reason_; }
  const Status& begin_error() const { return begin_error_; }

 protected:
  virtual Status begin_good(const HttpResponse& response) = 0;
  virtual Status write_good(std::span<const std::byte> data) = 0;

 private:
  bool good_ = false;
  std::string reason_;
  Status begin_error_;
};

class Repository::TextBody : public Body {
 public:
  std::string text;

 protected:
  Status begin_good(const HttpResponse& /*response*/) override {
    text.clear();
    return {};
  }
  Status write_good(std::span<const std::byte> data) override {
    if (text.size() + data.size() > kManifestLimit) {
      return fail(Code::kResourceExhausted, "the manifest is larger than 4 MiB");
    }
    text.append(as_text(data));
    return {};
  }
};

// Passes each byte on once, over as many responses as it takes.
class Repository::BlobBody : public Body {
 public:
  BlobBody(uint64_t size, Sink& to, const std::function<void(uint64_t)>& on_bytes)
      : size_(size), to_(to), on_bytes_(on_bytes) {}
  uint64_t received() const { return received_; }

 protected:
  Status begin_good(const HttpResponse& response) override {
    skip_ = 0;
    if (response.status == 200) {
      skip_ = received_;  // from the start again: the server knows no ranges
      return {};
    }
    const std::string range = response.header("content-range").value_or("");
    if (range.starts_with("bytes " + std::to_string(received_) + "-")) return {};
    return fail(Code::kDataLoss, "the registry sent another range than it was asked for");
  }
  Status write_good(std::span<const std::byte> data) override {
    const auto known = static_cast<size_t>(std::min<uint64_t>(skip_, data.size()));
    skip_ -= known;
    data = data.subspan(known);
    if (data.empty()) return {};
    if (data.size() > size_ - received_) {
      return fail(Code::kDataLoss,
                  "the registry sent more than " + std::to_string(size_) + " bytes");
    }
    KILN_TRY(to_.write(data));
    received_ += data.size();
    if (on_bytes_) on_bytes_(received_);
    return {};
  }

 private:
  const uint64_t size_;
  Sink& to_;
  const std::function<void(uint64_t)>& on_bytes_;
  uint64_t received_ = 0, skip_ = 0;
};

Repository::Repository(const RegistryAccess& access, const Reference& name, Url base)
    : access_(access),
      domain_(name.domain),
      path_(name.path),
      base_(std::move(base)),
      loopback_(is_loopback_host(base_.host)),
      credentials_(access.credentials != nullptr ? access.credentials->find(name.domain)
                                                 : std::nullopt) {}

Result<std::unique_ptr<Repository>> Repository::open(const RegistryAccess& access,
                                                     const Reference& name, std::stop_token stop) {
  KILN_CHECK(access.http != nullptr);
  KILN_TRY_ASSIGN(Url base, base_url(name.domain, "https"));
  if (is_loopback_host(base.host)) {
    KILN_TRY_ASSIGN(base, loopback_base(*access.http, name.domain, stop));
  }
  return std::unique_ptr<Repository>(new Repository(access, name, std::move(base)));
}

Status Repository::attempts(const std::function<Status(Attempt&)>& once,
                            const std::stop_token& stop) const {
  std::chrono::milliseconds next = access_.first_pause;
  for (int left = kRepetitions;; --left) {
    Attempt attempt;
    Status done = once(attempt);
    if (done || done.error().code() != Code::kUnavailable || left == 0) return done;
    if (!pause(std::max(next, attempt.pause), stop)) return fail(Code::kCancelled, "cancelled");
    next *= 2;
  }
}

// Credentials go to the registry's own origin only, whoever is asked on the way.
Result<Repository::Answer> Repository::follow(HttpRequest request, Url url,
                                              const std::string& authorization, Body& body,
                                              const std::stop_token& stop) {
  const auto headers = request.headers;
  for (int hops = 0; hops <= kMaxRedirects; ++hops) {
    const bool at_home = url.origin() == base_.origin();
    request.url = url.to_string();
    request.headers = headers;
    request.insecure_tls = at_home && loopback_;
    if (at_home && !authorization.empty()) {
      request.headers.emplace_back("Authorization", authorization);
    }
    KILN_TRY_ASSIGN(HttpResponse response,
                    access_.http->send(request, body, stop, [&](const HttpResponse& head) {
                      return !is_redirect(head.status) && body.begin(head);
                    }));
    const auto location = response.header("location");
    if (!is_redirect(response.status) || !location) return Answer{std::move(response), at_home};
    KILN_TRY_ASSIGN(Url next, url.resolve(*location));
    if (url.scheme == "https" && next.scheme != "https") {
      return fail(Code::kPermissionDenied,
                  url.origin() + " redirects from https to " + quote(next.origin()));
    }
    url = std::move(next);
  }
  return fail(Code::kUnavailable, "more than 10 redirects");
}

Result<std::string> Repository::authorize(const HttpResponse& refusal,
                                          const std::stop_token& stop) {
  // A server may send one challenge a header.
  std::string challenges;
  for (const auto& [name, value] : refusal.headers) {
    if (name == "www-authenticate") challenges.append(challenges.empty() ? "" : ", ").append(value);
  }
  const AuthRequest request{base_, challenges, "repository:" + path_ + ":pull", credentials_};
  auto answer = answer_challenge(*access_.http, request, stop);
  if (!answer && answer.error().code() == Code::kUnauthenticated) {
    return tl::unexpected(denied(Code::kUnauthenticated, answer.error().message()));
  }
  return answer;
}

Result<HttpResponse> Repository::get(const std::string& path, HttpRequest request, Body& body,
                                     const std::stop_token& stop) {
  Url url = base_;
  url.target = path;
  const std::string known = *authorization_.lock();
  KILN_TRY_ASSIGN(Answer answer, follow(request, url, known, body, stop));
  // Whoever was redirected to has no credentials to ask for.
  if (answer.response.status != 401 || !answer.from_registry) return std::move(answer.response);
  KILN_TRY_ASSIGN(const std::string fresh, authorize(answer.response, stop));
  if (fresh.empty()) return std::move(answer.response);
  KILN_TRY_ASSIGN(answer, follow(std::move(request), url, fresh, body, stop));
  if (answer.response.status != 401) *authorization_.lock() = fresh;
  return std::move(answer.response);
}

Error Repository::denied(Code code, const std::string& text) const {
  Error error(code, text);
  const bool hidden =
      access_.credentials != nullptr && access_.credentials->kept_elsewhere(domain_);
  if (hidden && !credentials_) {
    return error.hint(
        "Docker's config.json leaves the credentials to a helper program, which kiln "
        "does not run; log in without it");
  }
  return error.hint(credentials_
                        ? "the name may be wrong, or the login may lack the right to it"
                        : "the name may be wrong, or `docker login " + domain_ + "` may be needed");
}

Status Repository::check(const HttpResponse& response, const Body& body, Attempt& attempt) const {
  if (response.status == 200 || response.status == 206) return body.begin_error();
  std::string text = domain_ + " answers with HTTP status " + std::to_string(response.status);
  if (const std::string reason = error_text(body.reason()); !reason.empty()) text += ": " + reason;
  if (response.status == 401) return tl::unexpected(denied(Code::kUnauthenticated, text));
  if (response.status == 403) return tl::unexpected(denied(Code::kPermissionDenied, text));
  if (response.status == 404) return fail(Code::kNotFound, text);
  if (response.status != 429 && response.status < 500) return fail(Code::kInternal, text);
  if (const auto seconds = parse_int(response.header("retry-after").value_or(""));
      seconds && *seconds > 0) {
    attempt.pause = std::min(std::chrono::seconds(*seconds), kLongestPause);
  }
  return fail(Code::kUnavailable, text);
}

Result<Repository::Document> Repository::manifest(const Reference& name, std::stop_token stop) {
  const std::string path =
      "/v2/" + path_ + "/manifests/" + (name.digest ? name.digest->to_string() : name.tag);
  TextBody body;
  HttpResponse response;
  const auto once = [&](Attempt& attempt) -> Status {
    HttpRequest request;
    request.headers.emplace_back("Accept", accepted_manifests());
    KILN_TRY_ASSIGN(response, get(path, std::move(request), body, stop));
    return check(response, body, attempt);
  };
  KILN_TRY(attempts(once, stop));
  const Digest digest = Digest::of(body.text);
  if (name.digest && *name.digest != digest) {
    return fail(Code::kDataLoss, "the registry's manifest is " + digest.to_string() + ", not " +
                                     name.digest->to_string());
  }
  KILN_TRY_ASSIGN(const Json document, Json::parse(body.text, {kManifestLimit, 32}));
  Descriptor descriptor{type_of(document, response), digest, body.text.size(), std::nullopt, {}};
  return Document{std::move(descriptor), std::move(body.text)};
}

Status Repository::blob(const Descriptor& blob, Sink& to,
                        const std::function<void(uint64_t)>& on_bytes, std::stop_token stop) {
  const std::string path = "/v2/" + path_ + "/blobs/" + blob.digest.to_string();
  BlobBody body(blob.size, to, on_bytes);
  const auto once = [&](Attempt& attempt) -> Status {
    if (body.received() == blob.size && blob.size > 0)
      return {};  // it broke off after the last byte
    HttpRequest request;
    if (body.received() > 0) {
      request.headers.emplace_back("Range", "bytes=" + std::to_string(body.received()) + "-");
    }
    KILN_TRY_ASSIGN(const HttpResponse response, get(path, std::move(request), body, stop));
    KILN_TRY(check(response, body, attempt));
    if (body.received() == blob.size) return {};
    return fail(Code::kUnavailable, "blob " + blob.digest.to_string() + " ended after " +
                                        std::to_string(body.received()) + " of " +
                                        std::to_string(blob.size) + " bytes");
  };
  return attempts(once, stop);
}

}  // namespace kiln::oci
