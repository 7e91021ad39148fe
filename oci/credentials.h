// Credentials as Docker's config.json keeps them: in the file itself, or with a helper program that
// it names. Reading for who talks to registries, changing for login and logout; what is not about
// credentials stays in the file as it is.
#pragma once

#include "base/json.h"
#include "base/result.h"

#include <map>
#include <memory>
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

struct HelperPlace;

/// "https://index.docker.io/v1/" and "registry:5000/v2/" as references have it: "docker.io",
/// "registry:5000".
std::string credential_domain(std::string_view server);
/// The name under which Docker keeps the credentials for `domain`.
std::string credential_key(const std::string& domain);

/// Thread-safe; copies share what helpers answered.
class CredentialStore {
 public:
  CredentialStore() = default;  // anonymous everywhere
  /// "" is an empty store. kInvalidArgument: not JSON. An "auth" that is not base64 of
  /// "user:password" is find()'s error. Without `helpers` no program is run.
  static Result<CredentialStore> parse(std::string_view config_json,
                                       const HelperPlace* helpers = nullptr);
  /// `domain` as references have it ("docker.io", "localhost:5000"). Runs the helper that the file
  /// names for it, once: who asks meanwhile waits. Errors as CredentialHelper::get.
  Result<std::optional<Credentials>> find(const std::string& domain, std::stop_token stop) const;

 private:
  std::map<std::string, Credentials> by_domain_;
  std::map<std::string, std::string> helper_of_domain_;
  std::string helper_for_all_;
  struct Answers;
  Result<std::optional<Credentials>> ask(const std::string& name, const std::string& domain,
                                         const std::stop_token& stop) const;
  std::shared_ptr<const HelperPlace> helpers_;  // null: none is run
  std::shared_ptr<Answers> answers_;            // null with it
};

/// config.json for changes: every key that is not the one changed stays, in its place.
class CredentialFile {
 public:
  /// "" is an empty file. kInvalidArgument: not a JSON object.
  static Result<CredentialFile> parse(std::string_view config_json);
  /// The helper that keeps the credentials for `domain`; "": the file does.
  std::string helper(const std::string& domain) const;
  bool has(const std::string& domain) const;
  /// Notes the credentials, or that a helper keeps them (then without a secret).
  void set(const std::string& domain, const Credentials& credentials);
  void set_kept_by_helper(const std::string& domain);
  void erase(const std::string& domain);
  std::string text() const;

 private:
  explicit CredentialFile(Json json) : json_(std::move(json)) {}
  Json json_;
};

}  // namespace kiln::oci
