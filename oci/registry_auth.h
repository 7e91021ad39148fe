// Who kiln is to a registry: credentials as Docker's config.json keeps them, and the challenges of
// RFC 7235 and of the distribution specification's token protocol. Credentials reach the registry
// that they are for, and the token server that this registry names, if SAFETY.md 4.1 allows that
// server.
#pragma once

#include "base/http_client.h"
#include "oci/url.h"

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::oci {

struct Credentials {
  std::string username, password;
  std::string identity_token;  // an OAuth2 refresh token; then `password` is not used
};

/// The `auths` of ~/.docker/config.json. Programs that keep credentials (credsStore, credHelpers)
/// are not run.
class CredentialStore {
 public:
  CredentialStore() = default;  // anonymous everywhere
  /// "" is an empty store. kInvalidArgument: not JSON, or an "auth" that is not base64 of
  /// "user:password".
  static Result<CredentialStore> parse(std::string_view config_json);
  /// `domain` as references have it ("docker.io", "localhost:5000").
  std::optional<Credentials> find(const std::string& domain) const;
  /// True: a program keeps the credentials for `domain`, so that there are some which kiln does not
  /// see.
  bool kept_elsewhere(const std::string& domain) const;

 private:
  std::map<std::string, Credentials> by_domain_;
  std::vector<std::string> helper_domains_;
  bool helper_for_all_ = false;
};

/// One challenge of a WWW-Authenticate header.
struct Challenge {
  std::string scheme;                             // lower case: "basic", "bearer"
  std::map<std::string, std::string> parameters;  // names in lower case
};
std::vector<Challenge> parse_challenges(std::string_view header);

/// Whether the token server `realm` may be asked on behalf of `registry`: kPermissionDenied with
/// the reason if not.
Status check_realm(const Url& registry, const Url& realm);

/// The value of an Authorization header that answers `header` (WWW-Authenticate); "" if there is
/// nothing to answer with. Asks the token server for bearer challenges. kUnauthenticated: it
/// refused; kUnavailable: try again.
struct AuthRequest {
  const Url& registry;
  std::string_view header;
  std::string scope;  // asked for if the challenge names none: "repository:library/alpine:pull"
  const std::optional<Credentials>& credentials;
};
Result<std::string> answer_challenge(HttpClient& http, const AuthRequest& request,
                                     std::stop_token stop);

}  // namespace kiln::oci
