// Who kiln is to a registry: the challenges of RFC 7235 and of the distribution specification's
// token protocol. Credentials reach the registry that they are for, and the token server that this
// registry names, if SAFETY.md 4.1 allows that server.
#pragma once

#include "base/http_client.h"
#include "oci/credentials.h"
#include "oci/url.h"

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::oci {

/// One challenge of a WWW-Authenticate header.
struct Challenge {
  std::string scheme;                             // lower case: "basic", "bearer"
  std::map<std::string, std::string> parameters;  // names in lower case
};
std::vector<Challenge> parse_challenges(std::string_view header);

/// Whether the token server `realm` may be asked on behalf of `registry`: kPermissionDenied with
/// the reason if not.
Status check_realm(const Url& registry, const Url& realm);

enum class Offline : uint8_t { kNo, kYes };

struct AuthRequest {
  const Url& registry;
  std::string_view header;  // WWW-Authenticate
  std::string scope;        // asked for beside what the challenge names: "repository:app:pull,push"
  const std::optional<Credentials>& credentials;
  std::function<Status(const Url&, HttpRequest&)> prepare = {};  // for TLS; empty: nothing is known
  Offline offline = Offline::kNo;  // kYes: ask for a refresh token too
};
struct AuthAnswer {
  std::string authorization;  // the Authorization header's value; "": nothing to answer with
  std::string refresh_token;  // an identity token; "" if none was given
};
/// Asks the token server for bearer challenges. kUnauthenticated: it refused; kUnavailable: try
/// again.
Result<AuthAnswer> answer_challenge(HttpClient& http, const AuthRequest& request,
                                    std::stop_token stop);

}  // namespace kiln::oci
