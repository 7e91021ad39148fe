// Who asks: a name from a password (htpasswd, bcrypt), a static token, a short-lived token of our
// own or a client certificate. What they may do is access.h's affair.
#pragma once

#include "base/guarded.h"
#include "base/result.h"
#include "cache/server/http_message.h"

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

struct StaticToken {
  std::string name;    // who has it
  std::string sha256;  // of the token, lower-case hex
};

struct Credentials {
  std::map<std::string, std::string> passwords;  // by user, as crypt(3) writes them
  std::vector<StaticToken> tokens;
  std::string token_key;  // of the tokens handed out, in all servers of a registry; "": random
  bool empty() const { return passwords.empty() && tokens.empty(); }
};

/// Lines of "user:$2y$…". kInvalidArgument with file and line: another kind of hash, or no line
/// of a password file.
Result<std::map<std::string, std::string>> parse_htpasswd(std::string_view text,
                                                          const std::string& file);

/// Thread-safe; blocks (bcrypt is slow on purpose). Right answers are remembered by a keyed hash,
/// so a client pays once.
class Authenticator {
 public:
  using Time = std::chrono::system_clock::time_point;
  explicit Authenticator(Credentials credentials);
  struct Outcome {
    std::string name;        // "": nobody in particular
    bool by_header = false;  // an Authorization header was there, and right
  };
  /// nullopt: there are credentials, but wrong ones.
  std::optional<Outcome> authenticate(const Request& request, Time now);
  /// A token for `name` ("" too) that authenticate() takes until `now` plus kTokenLife.
  std::string issue_token(const std::string& name, Time now) const;
  static constexpr std::chrono::seconds kTokenLife{300};
  bool has_credentials() const { return !credentials_.empty(); }
  /// For one that takes this one's place: what was handed out stays good.
  const std::string& token_key() const { return key_; }

 private:
  std::optional<std::string> check_basic(std::string_view encoded);
  std::optional<std::string> check_bearer(std::string_view token, Time now) const;
  std::optional<std::string> holder_of(std::string_view token) const;
  bool knows(const std::string& name) const;
  bool check_password(const std::string& user, const std::string& password);

  const Credentials credentials_;
  const std::string key_;                 // random, or the one given
  Guarded<std::set<std::string>> right_;  // keyed hashes of user and password
};

}  // namespace kiln::server
