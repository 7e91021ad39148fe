#include "oci/registry_auth.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "oci/base64.h"

namespace kiln::oci {
namespace {

constexpr uint64_t kTokenLimit = 64U << 10U;  // SAFETY.md 4.2
constexpr size_t kMaxParameters = 32;

// Reads `header` once, front to back. RFC 7235, 2.1: scheme, then name=value pairs, all separated
// by commas.
class ChallengeParser {
 public:
  explicit ChallengeParser(std::string_view text) : rest_(text) {}

  std::vector<Challenge> parse() {
    std::vector<Challenge> challenges;
    while (true) {
      skip(" \t,");
      const std::string word = to_lower(token());
      if (word.empty()) return challenges;
      if (!challenges.empty() && rest_.starts_with('=')) {
        rest_.remove_prefix(1);
        add(challenges.back(), word);
      } else {
        challenges.push_back({word, {}});
      }
    }
  }

 private:
  void add(Challenge& challenge, const std::string& name) {
    std::string text = value();
    if (challenge.parameters.size() < kMaxParameters) {
      challenge.parameters.emplace(name, std::move(text));
    }
  }

  void skip(std::string_view set) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(set), rest_.size()));
  }

  std::string_view token() {
    const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t,=\""));
    if (word.empty() && !rest_.empty()) rest_ = {};  // not a header
    rest_.remove_prefix(word.size());
    return word;
  }

  std::string value() {
    if (!rest_.starts_with('"')) return std::string(token());
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      text.push_back(rest_.front());
      rest_.remove_prefix(1);
    }
    if (!rest_.empty()) rest_.remove_prefix(1);
    return text;
  }

  std::string_view rest_;
};

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain) {
      encoded.push_back(c);
    } else {
      encoded.append({'%', kHex[byte >> 4U], kHex[byte & 15U]});
    }
  }
  return encoded;
}

std::string basic(const Credentials& credentials) {
  return "Basic " + encode_base64(credentials.username + ":" + credentials.password);
}

// Holds what comes, up to a limit: token servers are not trusted with memory.
class BoundedSink : public Sink {
 public:
  Status write(std::span<const std::byte> data) override {
    if (text.size() + data.size() > kTokenLimit) {
      return fail(Code::kResourceExhausted, "the token is larger than 64 KiB");
    }
    text.append(as_text(data));
    return {};
  }
  std::string text;
};

struct TokenQuestion {
  const Url& realm;
  std::string service, scope;
  const AuthRequest& request;
};

// The scopes of both, those of one resource joined: a token for less would only have to be
// replaced.
std::string merged_scopes(const std::string& one, const std::string& other) {
  std::vector<std::pair<std::string, std::vector<std::string>>> merged;
  std::vector<std::string> scopes = split(one, ' ');
  const std::vector<std::string> more = split(other, ' ');
  scopes.insert(scopes.end(), more.begin(), more.end());
  for (const std::string& scope : scopes) {
    const size_t colon = scope.rfind(':');
    if (colon == std::string::npos) continue;
    const std::string resource = scope.substr(0, colon);
    auto at = std::ranges::find_if(merged, [&](const auto& m) { return m.first == resource; });
    if (at == merged.end()) at = merged.insert(merged.end(), {resource, {}});
    for (const std::string& action : split(scope.substr(colon + 1), ',')) {
      if (std::ranges::find(at->second, action) == at->second.end()) at->second.push_back(action);
    }
  }
  std::string text;
  for (const auto& [resource, actions] : merged) {
    text.append(text.empty() ? "" : " ").append(resource).append(":").append(join(actions, ","));
  }
  return text;
}

std::string question_text(const TokenQuestion& question) {
  const std::optional<Credentials>& credentials = question.request.credentials;
  std::string text;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    text.append(text.empty() ? "" : "&").append(name).append("=").append(percent_encode(value));
  };
  const bool refresh = credentials && !credentials->identity_token.empty();
  add("service", question.service);
  // RFC 6749 has one scope parameter; the token protocol's GET one for each.
  if (refresh) {
    add("scope", question.scope);
    add("grant_type", "refresh_token");
    add("refresh_token", credentials->identity_token);
  } else {
    for (const std::string& scope : split(question.scope, ' ')) add("scope", scope);
    if (credentials) add("account", credentials->username);
  }
  if (question.request.offline == Offline::kYes) add("offline_token", "true");
  if (refresh || question.request.offline == Offline::kYes) add("client_id", "kiln");
  return text;
}

// What the server says of itself: the distribution's, RFC 6749's and other words for it.
std::string refusal_text(const std::string& body) {
  const auto json = Json::parse(body);
  if (!json) return {};
  const Json::Array& errors = (*json)["errors"].elements();
  const Json* const places[] = {errors.empty() ? nullptr : &errors.front()["message"],
                                &(*json)["error_description"], &(*json)["details"],
                                &(*json)["message"]};
  for (const Json* const place : places) {
    if (place == nullptr || place->as_string().empty()) continue;
    return ": " + printable(place->as_string().substr(0, 300));
  }
  return {};
}

Status check_token_status(int status, const Url& realm, const std::string& body) {
  if (status == 200) return {};
  const std::string text = "token server " + realm.origin() + ": HTTP status " +
                           std::to_string(status) + refusal_text(body);
  if (status == 429 || status >= 500) return fail(Code::kUnavailable, text);
  return fail(Code::kUnauthenticated, text);
}

Result<AuthAnswer> fetch_token(HttpClient& http, const TokenQuestion& question,
                               const std::stop_token& stop) {
  const std::optional<Credentials>& credentials = question.request.credentials;
  HttpRequest request;
  Url url = question.realm;
  const std::string asked = question_text(question);
  StringSource form(asked);
  const bool refresh = credentials && !credentials->identity_token.empty();
  if (refresh) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = &form;
    request.body_bytes = asked.size();
  } else {
    if (credentials) request.headers.emplace_back("Authorization", basic(*credentials));
    url.target += (url.target.find('?') == std::string::npos ? "?" : "&") + asked;
  }
  request.url = url.to_string();
  if (question.request.prepare) KILN_TRY(question.request.prepare(url, request));
  BoundedSink body;
  KILN_TRY_ASSIGN(const HttpResponse response, http.send(request, body, stop));
  KILN_TRY(check_token_status(response.status, question.realm, body.text));
  const auto json = Json::parse(body.text);
  if (!json) return fail(Code::kUnauthenticated, "the token server's answer is not JSON");
  const std::string& token = (*json)["token"].as_string();
  const std::string& access = (*json)["access_token"].as_string();
  if (token.empty() && access.empty()) {
    return fail(Code::kUnauthenticated, "the token server's answer has no token");
  }
  return AuthAnswer{"Bearer " + (token.empty() ? access : token),
                    (*json)["refresh_token"].as_string()};
}

Result<AuthAnswer> answer_bearer(HttpClient& http, const AuthRequest& request,
                                 const Challenge& challenge, const std::stop_token& stop) {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  KILN_TRY_ASSIGN(const Url realm, Url::parse(parameter("realm")));
  KILN_TRY(check_realm(request.registry, realm));
  const TokenQuestion question{realm, parameter("service"),
                               merged_scopes(request.scope, parameter("scope")), request};
  return fetch_token(http, question, stop);
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  return ChallengeParser(header).parse();
}

// A registry could otherwise make kiln send credentials in the clear, or ask addresses that only
// this machine reaches.
Status check_realm(const Url& registry, const Url& realm) {
  const auto refuse = [&](std::string_view why) {
    return tl::unexpected(Error(Code::kPermissionDenied,
                                "registry " + registry.origin() + " names the token server " +
                                    quote(realm.origin()) + ": " + std::string(why)));
  };
  if (registry.scheme == "https" && realm.scheme != "https") return refuse("it is not on https");
  const bool same_host = realm.host == registry.host ||
                         (is_loopback_host(realm.host) && is_loopback_host(registry.host));
  if (!same_host && is_private_host(realm.host)) {
    return refuse("a private address that is not the registry's");
  }
  return {};
}

Result<AuthAnswer> answer_challenge(HttpClient& http, const AuthRequest& request,
                                    std::stop_token stop) {
  const auto challenges = parse_challenges(request.header);
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == "bearer") return answer_bearer(http, request, challenge, stop);
  }
  for (const Challenge& challenge : challenges) {
    const bool usable = request.credentials && !request.credentials->username.empty();
    if (challenge.scheme == "basic" && usable) return AuthAnswer{basic(*request.credentials), ""};
  }
  return AuthAnswer{};
}

}  // namespace kiln::oci
