#include "oci/registry_session.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "base/json.h"
#include "base/strings.h"
#include "oci/registry_auth.h"
#include "oci/retry_after.h"

namespace kiln::oci {
namespace {

constexpr uint64_t kErrorLimit = 64U << 10U;
constexpr int kMaxRedirects = 10;

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

class NullSink : public Sink {
 public:
  Status write(std::span<const std::byte> /*data*/) override { return {}; }
};

// What a transfer's error says of TLS is true and helps nobody.
Error with_advice(const Error& error, const Url& url) {
  if (url.scheme != "https") return error;
  const std::string host = url.origin().substr(8);
  if (error.code() == Code::kPermissionDenied) {
    return error.hint("if that certificate is to be trusted: `ca` of [registry.\"" + host +
                      "\"] in registries.toml, or /etc/docker/certs.d/" + host);
  }
  if (error.message().find("wrong version number") == std::string::npos) return error;
  return error.hint("it may speak plain http: `http = true` of [registry.\"" + host +
                    "\"] in registries.toml");
}

Result<Url> base_url(const std::string& domain, std::string_view scheme) {
  const std::string host = domain == "docker.io" ? "registry-1.docker.io" : domain;
  return Url::parse(std::string(scheme) + "://" + host);
}

// For a registry that may speak either. Http is asked first: a server that speaks https answers it
// with 400 or hangs up at once, while the other way round some wait for the end of a header that is
// none.
Result<Url> either_base(HttpClient& http, const std::string& domain, const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const Url plain, base_url(domain, "http"));
  HttpRequest probe;
  Url url = plain;
  url.target = "/v2/";
  probe.url = url.to_string();
  NullSink nowhere;
  const auto answer = http.send(probe, nowhere, stop, [](const HttpResponse&) { return false; });
  const std::string elsewhere = answer ? answer->header("location").value_or("") : "";
  const bool sends_to_https =
      answer && is_redirect(answer->status) && to_lower(elsewhere.substr(0, 8)) == "https://";
  if (answer && answer->status != 400 && !sends_to_https) return plain;
  if (!answer && answer.error().code() == Code::kCancelled) return tl::unexpected(answer.error());
  return base_url(domain, "https");
}

}  // namespace

bool ResponseBody::begin(const HttpResponse& response) {
  good_ = response.status >= 200 && response.status < 300;
  reason_.clear();
  begin_error_ = Status();
  if (good_) {
    begin_error_ = begin_good(response);
    return true;
  }
  // Many send no length: what comes is read up to the limit (RegistrySession::ask).
  const auto length = response.header("content-length");
  if (!length) return true;
  const auto bytes = parse_int(*length);
  return bytes && *bytes >= 0 && static_cast<uint64_t>(*bytes) <= kErrorLimit;
}

Status ResponseBody::write(std::span<const std::byte> data) {
  if (good_) {
    KILN_TRY(begin_error_);
    return write_good(data);
  }
  reason_.append(as_text(data));
  if (reason_.size() <= kErrorLimit) return {};
  return fail(Code::kResourceExhausted, "the refusal is larger than 64 KiB");
}

Status TextBody::begin_good(const HttpResponse& /*response*/) {
  text.clear();
  return {};
}

Status TextBody::write_good(std::span<const std::byte> data) {
  if (text.size() + data.size() > limit_) {
    return fail(Code::kResourceExhausted,
                "the " + what_ + " is larger than " + std::to_string(limit_ >> 20U) + " MiB");
  }
  text.append(as_text(data));
  return {};
}

RegistrySession::RegistrySession(const RegistryAccess& access, RegistryPlace place,
                                 RegistryRights rights, Url base)
    : access_(access), place_(std::move(place)), rights_(rights), base_(std::move(base)) {}

Status RegistrySession::prepare_tls(const RegistryAccess& access, const Url& url,
                                    HttpRequest& request) {
  static const RegistryConfig kNothing;
  return (access.config != nullptr ? *access.config : kNothing).prepare(url, request);
}

Result<Url> RegistrySession::locate(const RegistryAccess& access, const std::string& domain,
                                    std::stop_token stop) {
  KILN_CHECK(access.http != nullptr);
  HostConfig config;
  if (access.config != nullptr) {
    KILN_TRY_ASSIGN(config, access.config->find(domain));
  }
  const bool plain = config.http.value_or(false);
  KILN_TRY_ASSIGN(Url base, base_url(domain, plain ? "http" : "https"));
  const bool either = plain ? config.insecure.value_or(false)
                            : !config.http.has_value() && is_loopback_host(base.host);
  if (!either) return base;
  return either_base(*access.http, domain, stop);
}

Result<std::unique_ptr<RegistrySession>> RegistrySession::open(const RegistryAccess& access,
                                                               RegistryPlace place,
                                                               RegistryRights rights,
                                                               std::stop_token stop) {
  KILN_TRY_ASSIGN(Url base, locate(access, place.domain, stop));
  return std::unique_ptr<RegistrySession>(
      new RegistrySession(access, std::move(place), rights, std::move(base)));
}

Url RegistrySession::at(std::string_view rest) const {
  Url url = base_;
  url.target = "/v2/" + place_.path + "/" + std::string(rest);
  if (!place_.mirror_of.empty()) {
    url.target += (rest.find('?') == std::string_view::npos ? "?ns=" : "&ns=") + place_.mirror_of;
  }
  return url;
}

Status RegistrySession::attempts(const std::function<Status(Attempt&)>& once,
                                 const std::stop_token& stop) const {
  std::chrono::milliseconds next = access_.first_pause;
  for (int left = access_.repetitions;; --left) {
    Attempt attempt;
    Status done = once(attempt);
    if (done || done.error().code() != Code::kUnavailable || left == 0) return done;
    if (!pause(std::max(next, attempt.pause), stop)) return fail(Code::kCancelled, "cancelled");
    next *= 2;
  }
}

Result<HttpResponse> RegistrySession::ask(const RegistryCall& call, const Url& url,
                                          const std::string& authorization, ResponseBody& body,
                                          const std::stop_token& stop) {
  HttpRequest request;
  request.method = call.method;
  request.url = url.to_string();
  request.headers = call.headers;
  if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
  KILN_TRY(prepare_tls(access_, url, request));
  std::unique_ptr<Source> content;
  if (call.body) {
    KILN_TRY_ASSIGN(content, call.body());
    request.body = content.get();
    request.body_bytes = call.body_bytes;
  }
  HttpResponse seen;
  auto response = access_.http->send(request, body, stop, [&](const HttpResponse& head) {
    seen = head;
    return !is_redirect(head.status) && body.begin(head);
  });
  if (response) return response;
  if (body.reason().size() > kErrorLimit) return seen;  // its head is what matters
  return tl::unexpected(with_advice(response.error(), url));
}

// Credentials go to the registry's own origin only, whoever is asked on the way.
Result<RegistryReply> RegistrySession::follow(const RegistryCall& call,
                                              const std::string& authorization, ResponseBody& body,
                                              const std::stop_token& stop) {
  const bool reads = call.method == "GET" || call.method == "HEAD";
  Url url = call.url;
  for (int hops = 0; hops <= kMaxRedirects; ++hops) {
    const bool at_home = url.origin() == base_.origin();
    KILN_TRY_ASSIGN(HttpResponse response,
                    ask(call, url, at_home ? authorization : std::string(), body, stop));
    const auto location = response.header("location");
    // What changes something is repeated elsewhere only where that is what the answer means.
    const bool goes_on = reads || response.status == 307 || response.status == 308;
    if (!is_redirect(response.status) || !location || !goes_on) {
      return RegistryReply{std::move(response), std::move(url)};
    }
    KILN_TRY_ASSIGN(Url next, url.resolve(*location));
    if (url.scheme == "https" && next.scheme != "https") {
      return fail(Code::kPermissionDenied,
                  url.origin() + " redirects from https to " + quote(next.origin()));
    }
    url = std::move(next);
  }
  return fail(Code::kUnavailable, "more than 10 redirects");
}

Result<std::string> RegistrySession::authorize(const HttpResponse& refusal,
                                               const std::stop_token& stop) {
  // A server may send one challenge a header.
  std::string challenges;
  for (const auto& [name, value] : refusal.headers) {
    if (name == "www-authenticate") challenges.append(challenges.empty() ? "" : ", ").append(value);
  }
  std::optional<Credentials> credentials;
  if (access_.credentials != nullptr) {
    KILN_TRY_ASSIGN(credentials, access_.credentials->find(place_.domain, stop));
  }
  const char* actions = rights_ == RegistryRights::kPush ? ":pull,push" : ":pull";
  AuthRequest request{base_, challenges, "repository:" + place_.path + actions, credentials};
  request.prepare = [this](const Url& url, HttpRequest& asked) {
    return prepare_tls(access_, url, asked);
  };
  auto answer = answer_challenge(*access_.http, request, stop);
  if (!answer && answer.error().code() == Code::kUnauthenticated) {
    return tl::unexpected(denied(Code::kUnauthenticated, answer.error().message()));
  }
  if (!answer) return tl::unexpected(answer.error());
  return answer->authorization;
}

Result<RegistryReply> RegistrySession::send(const RegistryCall& call, ResponseBody& body,
                                            const std::stop_token& stop) {
  const std::string known = *authorization_.lock();
  KILN_TRY_ASSIGN(RegistryReply reply, follow(call, known, body, stop));
  // Whoever was redirected to has no credentials to ask for.
  if (reply.response.status != 401 || reply.url.origin() != base_.origin()) return reply;
  KILN_TRY_ASSIGN(const std::string fresh, authorize(reply.response, stop));
  if (fresh.empty()) return reply;
  KILN_TRY_ASSIGN(reply, follow(call, fresh, body, stop));
  if (reply.response.status != 401) *authorization_.lock() = fresh;
  return reply;
}

Error RegistrySession::denied(Code code, const std::string& text) const {
  std::stop_source none;
  none.request_stop();
  const auto known = access_.credentials != nullptr
                         ? access_.credentials->find(place_.domain, none.get_token())
                         : Result<std::optional<Credentials>>(std::nullopt);
  const bool logged_in = known && known->has_value();
  return Error(code, text)
      .hint(logged_in
                ? "the name may be wrong, or the login may lack the right to it"
                : "the name may be wrong, or `kiln login " + place_.domain + "` may be needed");
}

Status RegistrySession::check(const HttpResponse& response, const ResponseBody& body,
                              Attempt& attempt) const {
  if (response.status >= 200 && response.status < 300) return body.begin_error();
  std::string text = place_.domain + " answers with HTTP status " + std::to_string(response.status);
  if (const std::string reason = error_text(body.reason()); !reason.empty()) text += ": " + reason;
  if (response.status == 401) return tl::unexpected(denied(Code::kUnauthenticated, text));
  if (response.status == 403) return tl::unexpected(denied(Code::kPermissionDenied, text));
  if (response.status == 404) return fail(Code::kNotFound, text);
  if (response.status == 413) return fail(Code::kResourceExhausted, text);
  if (response.status != 429 && response.status < 500) return fail(Code::kInternal, text);
  if (const auto wait =
          retry_after(response.header("retry-after").value_or(""), Clock::system().now())) {
    attempt.pause = *wait;
  }
  if (response.status != 429) return fail(Code::kUnavailable, text);
  return tl::unexpected(Error(Code::kUnavailable, text)
                            .hint("it limits how much is asked of it: wait, or `kiln login " +
                                  place_.domain + "` if that allows more"));
}

}  // namespace kiln::oci
