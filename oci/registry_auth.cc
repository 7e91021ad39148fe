#include "oci/registry_auth.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"
#include "oci/base64.h"

namespace kiln::oci {
namespace {

constexpr uint64_t kTokenLimit = 64U << 10U;  // SAFETY.md 4.2
constexpr size_t kMaxParameters = 32;

// "https://index.docker.io/v1/" and "registry:5000" alike.
std::string domain_of(std::string_view key) {
  if (const size_t scheme = key.find("://"); scheme != std::string_view::npos) {
    key.remove_prefix(scheme + 3);
  }
  std::string domain = to_lower(key.substr(0, key.find('/')));
  const bool hub = domain == "index.docker.io" || domain == "registry-1.docker.io";
  return hub ? "docker.io" : domain;
}

Result<Credentials> credentials_of(const std::string& domain, const Json& entry) {
  Credentials credentials{entry["username"].as_string(), entry["password"].as_string(),
                          entry["identitytoken"].as_string()};
  const std::string& packed = entry["auth"].as_string();
  if (packed.empty()) return credentials;
  const auto plain = decode_base64(packed);
  const size_t colon = plain ? plain->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return fail(Code::kInvalidArgument, "the credentials for " + quote(domain) + " are damaged");
  }
  credentials.username = plain->substr(0, colon);
  credentials.password = plain->substr(colon + 1);
  // Docker pads with NUL.
  credentials.password.erase(
      std::min(credentials.password.find('\0'), credentials.password.size()));
  return credentials;
}

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
  const std::optional<Credentials>& credentials;
};

std::string question_text(const TokenQuestion& question) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    text.append(text.empty() ? "" : "&").append(name).append("=").append(percent_encode(value));
  };
  add("service", question.service);
  for (const std::string& scope : split(question.scope, ' ')) add("scope", scope);
  if (question.credentials && !question.credentials->identity_token.empty()) {
    add("grant_type", "refresh_token");
    add("client_id", "kiln");
    add("refresh_token", question.credentials->identity_token);
  } else if (question.credentials) {
    add("account", question.credentials->username);
  }
  return text;
}

Status check_token_status(int status, const Url& realm) {
  if (status == 200) return {};
  const std::string text =
      "token server " + realm.origin() + ": HTTP status " + std::to_string(status);
  if (status == 429 || status >= 500) return fail(Code::kUnavailable, text);
  return fail(Code::kUnauthenticated, text);
}

Result<std::string> fetch_token(HttpClient& http, const TokenQuestion& question,
                                const std::stop_token& stop) {
  HttpRequest request;
  Url url = question.realm;
  const std::string asked = question_text(question);
  StringSource form(asked);
  const bool refresh = question.credentials && !question.credentials->identity_token.empty();
  if (refresh) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = &form;
    request.body_bytes = asked.size();
  } else {
    if (question.credentials) {
      request.headers.emplace_back("Authorization", basic(*question.credentials));
    }
    url.target += (url.target.find('?') == std::string::npos ? "?" : "&") + asked;
  }
  request.url = url.to_string();
  BoundedSink body;
  KILN_TRY_ASSIGN(const HttpResponse response, http.send(request, body, stop));
  KILN_TRY(check_token_status(response.status, question.realm));
  const auto json = Json::parse(body.text);
  if (!json) return fail(Code::kUnauthenticated, "the token server's answer is not JSON");
  const std::string& token = (*json)["token"].as_string();
  const std::string& access = (*json)["access_token"].as_string();
  if (token.empty() && access.empty()) {
    return fail(Code::kUnauthenticated, "the token server's answer has no token");
  }
  return token.empty() ? access : token;
}

Result<std::string> answer_bearer(HttpClient& http, const AuthRequest& request,
                                  const Challenge& challenge, const std::stop_token& stop) {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  KILN_TRY_ASSIGN(const Url realm, Url::parse(parameter("realm")));
  KILN_TRY(check_realm(request.registry, realm));
  const std::string scope = parameter("scope");
  const TokenQuestion question{realm, parameter("service"), scope.empty() ? request.scope : scope,
                               request.credentials};
  KILN_TRY_ASSIGN(const std::string token, fetch_token(http, question, stop));
  return "Bearer " + token;
}

}  // namespace

Result<CredentialStore> CredentialStore::parse(std::string_view config_json) {
  CredentialStore store;
  if (trim(config_json).empty()) return store;
  const auto json = Json::parse(config_json);
  if (!json) return tl::unexpected(json.error().wrap("Docker's config.json"));
  for (const auto& [key, entry] : (*json)["auths"].members()) {
    KILN_TRY_ASSIGN(Credentials credentials, credentials_of(key, entry));
    const bool empty = credentials.username.empty() && credentials.identity_token.empty();
    if (!empty) store.by_domain_.emplace(domain_of(key), std::move(credentials));
  }
  for (const auto& [key, helper] : (*json)["credHelpers"].members()) {
    store.helper_domains_.push_back(domain_of(key));
  }
  store.helper_for_all_ = !(*json)["credsStore"].as_string().empty();
  return store;
}

std::optional<Credentials> CredentialStore::find(const std::string& domain) const {
  const auto found = by_domain_.find(domain_of(domain));
  if (found == by_domain_.end()) return std::nullopt;
  return found->second;
}

bool CredentialStore::kept_elsewhere(const std::string& domain) const {
  return helper_for_all_ ||
         std::ranges::find(helper_domains_, domain_of(domain)) != helper_domains_.end();
}

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

Result<std::string> answer_challenge(HttpClient& http, const AuthRequest& request,
                                     std::stop_token stop) {
  const auto challenges = parse_challenges(request.header);
  for (const Challenge& challenge : challenges) {
    if (challenge.scheme == "bearer") return answer_bearer(http, request, challenge, stop);
  }
  for (const Challenge& challenge : challenges) {
    const bool usable = request.credentials && !request.credentials->username.empty();
    if (challenge.scheme == "basic" && usable) return basic(*request.credentials);
  }
  return std::string();
}

}  // namespace kiln::oci
