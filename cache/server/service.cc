#include "cache/server/service.h"

#include <algorithm>

#include "base/clock.h"
#include "base/strings.h"
#include "oci/url.h"

namespace kiln::server {
namespace {

constexpr std::string_view kTokenPath = "/kiln/token", kCollectPath = "/kiln/admin/collect";
constexpr std::string_view kAlivePath = "/healthz";

bool is_about_registry(std::string_view path) {
  return path == "/v2" || path.starts_with("/v2/");
}

Response text_response(int status, std::string text) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text), {}};
}

}  // namespace

Service::Service(const ServerConfig& config, Parts parts)
    : config_(config),
      parts_(std::move(parts)),
      rules_(std::make_shared<Rules>(config, config.credentials.token_key)),
      requests_(config.requests),
      failed_logins_(config.failed_logins),
      registry_api_(parts_.registry, parts_.mirror, ApiLimits{config.max_blob_bytes}) {
  mount("/v2", registry_api_);
}

Service::Rules::Rules(const ServerConfig& config, const std::string& token_key)
    : access(config.access),
      realm(config.realm),
      public_url(config.public_url),
      proxies(config.trusted_proxies),
      authenticator({config.credentials.passwords, config.credentials.tokens, token_key}) {}

void Service::replace_rules(const ServerConfig& config) {
  auto replaced = std::make_shared<Rules>(config, rules()->authenticator.token_key());
  *rules_.lock() = std::move(replaced);
}

void Service::mount(std::string prefix, RouteHandler& handler) {
  mounts_.emplace_back(std::move(prefix), &handler);
  std::sort(mounts_.begin(), mounts_.end(),
            [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

/// A receiver whose answers are dressed as all others are.
class Service::Watched : public BodyReceiver {
 public:
  Watched(Service& service, Request request, std::unique_ptr<BodyReceiver> inner)
      : service_(service), request_(std::move(request)), inner_(std::move(inner)) {}
  std::optional<Response> write(std::span<const std::byte> data) override {
    std::optional<Response> early = inner_->write(data);
    if (early) service_.dress(request_, *early);
    return early;
  }
  Response finish() override {
    Response response = inner_->finish();
    service_.dress(request_, response);
    return response;
  }

 private:
  Service& service_;
  const Request request_;
  std::unique_ptr<BodyReceiver> inner_;
};

std::optional<Response> Service::answer_at_once(Request& request) {
  if (request.path != kAlivePath) return std::nullopt;
  request.client = request.peer;
  return text_response(200, "ok\n");
}

Started Service::start(Request& request) {
  if (std::optional<Response> alive = answer_at_once(request)) return *std::move(alive);
  const RulesPtr rules = this->rules();
  request.client = rules->proxies.client_of(request.peer, request.header_list("x-forwarded-for"));
  Started started = answer(request, rules);
  if (auto* response = std::get_if<Response>(&started)) {
    dress(request, *response);
    return started;
  }
  auto& receiver = std::get<std::unique_ptr<BodyReceiver>>(started);
  return std::make_unique<Watched>(*this, request, std::move(receiver));
}

void Service::dress(const Request& request, Response& response) {
  if (is_about_registry(request.path))
    response.headers.emplace_back("Docker-Distribution-API-Version", "registry/2.0");
  if (response.status == 429) response.headers.emplace_back("Retry-After", "1");
  if (response.status == 401)
    response.headers.emplace_back("WWW-Authenticate", challenge_text(request));
  if (!response.log.empty() && parts_.log)
    parts_.log(request.method + " " + quote(request.path) + ": " + response.log);
}

Started Service::answer(Request& request, const RulesPtr& rules) {
  if (std::optional<Response> ready = answer_ready(request)) return *std::move(ready);
  const auto now = std::chrono::steady_clock::now();
  if (!requests_.take(request.client, now) || !failed_logins_.has(request.client, now)) {
    ++parts_.metrics.limited;
    return error_response(
        ApiError(429, api::kTooManyRequests, "too many requests: ask again in a while"));
  }
  Authenticator& authenticator = rules->authenticator;
  const auto outcome = authenticator.authenticate(request, std::chrono::system_clock::now());
  if (!outcome) {
    ++parts_.metrics.failed_logins;
    (void)failed_logins_.take(request.client, now);  // has() told above whether there are too many
    return challenge(request, "these credentials are not known here");
  }
  request.principal = outcome->name;
  const Principal who({rules, &rules->access}, outcome->name);
  if (request.path == kTokenPath) return answer_token(request, who, *rules);
  if (request.path == "/metrics") return answer_metrics(request, who);
  if (request.path == kCollectPath) return answer_collect(request, who);
  // Clients look here for whether, and how, to log in; a token for nobody counts as an answer.
  const bool asks_how = request.path == "/v2/" || request.path == "/v2";
  if (asks_how && who.is_anonymous() && !outcome->by_header && authenticator.has_credentials())
    return challenge(request, "authentication is needed");
  for (const auto& [prefix, handler] : mounts_)
    if (request.path == prefix || request.path.starts_with(prefix + "/"))
      return handler->start(request, who);
  return error_response(ApiError(404, api::kUnsupported, "there is no such endpoint"));
}

std::optional<Response> Service::answer_ready(const Request& request) {
  if (request.path != "/readyz") return std::nullopt;
  if (draining_) return text_response(503, "stopping\n");
  // One at a time asks the storage, however many want to know; others hear what the last one heard.
  const std::unique_lock asking(asking_storage_, std::try_to_lock);
  if (asking) {
    const Status answers = parts_.registry.probe();
    if (storage_answers_.exchange(answers.has_value()) != answers.has_value() && parts_.log)
      parts_.log(answers ? "ready again" : "not ready: " + answers.error().message());
  }
  if (!storage_answers_) return text_response(503, "the storage cannot be read\n");
  return text_response(200, "ready\n");
}

Response Service::challenge(const Request&, const std::string& why) {
  return error_response(ApiError(401, api::kUnauthorized, why));
}

// Basic where everybody needs a password. Where some may come without, clients want a token even
// for nobody: docker does not go on from a Basic challenge without a password.
std::string Service::challenge_text(const Request& request) const {
  const RulesPtr rules = this->rules();
  if (!rules->access.knows_anonymous()) return "Basic realm=" + quote(rules->realm);
  const std::string host = request.header("host").value_or("localhost");
  std::string url = rules->public_url;
  if (url.empty()) url = std::string(config_.tls ? "https" : "http") + "://" + host;
  std::string text =
      "Bearer realm=" + quote(url + std::string(kTokenPath)) + ",service=" + quote(rules->realm);
  const std::optional<Route> route = parse_route(request.path);
  if (route && !route->repository.empty())
    text += ",scope=" + quote("repository:" + route->repository + ":pull" +
                              (request.method == "GET" || request.method == "HEAD" ? "" : ",push"));
  return text;
}

Response Service::answer_token(const Request& request, const Principal& who, const Rules& rules) {
  if (request.method != "GET")
    return error_response(ApiError(405, api::kUnsupported, "tokens are asked for with GET"));
  const std::string token =
      rules.authenticator.issue_token(who.name(), std::chrono::system_clock::now());
  Response response =
      json_response(Json::object({{"token", token},
                                  {"access_token", token},
                                  {"expires_in", int64_t{Authenticator::kTokenLife.count()}}}));
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

Response Service::answer_metrics(const Request& request, const Principal& who) {
  if (!who.is_administrator() && !oci::is_loopback_host(request.client))
    return error_response(who.is_anonymous()
                              ? ApiError(401, api::kUnauthorized, "metrics are for administrators")
                              : ApiError(403, api::kDenied, "metrics are for administrators"));
  Response response = text_response(200, parts_.metrics.text());
  response.headers = {{"Content-Type", "text/plain; version=0.0.4"}};
  return response;
}

Response Service::answer_collect(const Request& request, const Principal& who) {
  if (!who.is_administrator())
    return error_response(who.is_anonymous()
                              ? ApiError(401, api::kUnauthorized, "this is for administrators")
                              : ApiError(403, api::kDenied, "this is for administrators"));
  if (request.method != "POST")
    return error_response(ApiError(405, api::kUnsupported, "collection is started with POST"));
  const auto collected = collect();
  if (!collected) return error_response(collected.error());
  return json_response(Json::object({{"blobs", uint64_t{collected->blobs}},
                                     {"bytes", collected->bytes},
                                     {"holdings", uint64_t{collected->holdings}},
                                     {"uploads", uint64_t{collected->uploads}}}));
}

ApiResult<Registry::Collected> Service::collect() {
  const TimePoint now = Clock::system().now();
  if (parts_.mirror != nullptr) {
    const Status expired = parts_.mirror->expire(now);
    if (!expired && parts_.log) parts_.log("mirror: " + expired.error().message());
  }
  if (config_.cache.any()) evict(now);
  auto collected = parts_.registry.collect(now, config_.upload_age);
  if (!collected) {
    if (parts_.log) parts_.log("collection: " + collected.error().message + collected.error().log);
    return collected;
  }
  if (parts_.log)
    for (const std::string& problem : collected->problems)
      parts_.log("collection: " + problem + ": run kiln fsck");
  ++parts_.metrics.collections;
  parts_.metrics.collected_blobs += collected->blobs;
  parts_.metrics.collected_bytes += collected->bytes;
  if (parts_.log && (collected->blobs > 0 || collected->uploads > 0))
    parts_.log("collected " + std::to_string(collected->blobs) + " blobs (" +
               human_bytes(collected->bytes) + ") and " + std::to_string(collected->uploads) +
               " uploads");
  return collected;
}

void Service::evict(TimePoint now) {
  const auto evicted = evict_entries(parts_.registry, config_.cache, now);
  if (evicted) parts_.metrics.evicted_entries += evicted->entries;
  if (!parts_.log) return;
  if (!evicted)
    parts_.log("build caches: " + evicted.error().message + evicted.error().log);
  else if (evicted->entries > 0)
    parts_.log("dropped " + std::to_string(evicted->entries) + " entries of build caches, " +
               std::to_string(evicted->entries_left) + " with " + human_bytes(evicted->bytes_left) +
               " stay");
}

void Service::finished(const Request& request, int status, uint64_t in_bytes, uint64_t out_bytes) {
  parts_.metrics.count_request(request.method, status, in_bytes, out_bytes);
  const bool read = request.method == "GET" || request.method == "HEAD";
  const bool refused = status == 401 || status == 403 || status == 429;
  if (!parts_.audit || (read && !refused && !config_.audit_reads)) return;
  Json event = Json::object({{"time", format_rfc3339(Clock::system().now())},
                             {"client", request.client},
                             {"who", request.principal},
                             {"method", request.method},
                             {"path", request.path},
                             {"query", request.query},
                             {"status", status},
                             {"received", in_bytes},
                             {"sent", out_bytes}});
  if (request.peer != request.client) event.set("proxy", request.peer);
  parts_.audit(event.dump());
}

}  // namespace kiln::server
