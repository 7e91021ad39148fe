// Programs that keep credentials: `docker-credential-NAME get|store|erase`, spoken to on standard
// input and output, so that no secret is ever an argument (SAFETY.md 5).
#pragma once

#include "base/result.h"
#include "oci/credentials.h"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::oci {

/// Where helpers are found and what they see: the environment of who runs kiln.
struct HelperPlace {
  std::string search_path;               // PATH
  std::vector<std::string> environment;  // "K=V"
};

/// One program. Each call runs it once, for 60 s at most (some ask for a passphrase).
class CredentialHelper {
 public:
  /// kInvalidArgument: `name` is no plain word.
  static Result<CredentialHelper> named(const HelperPlace& place, const std::string& name);

  /// nullopt: it has none for `server`. kFailedPrecondition: it is not installed, fails, or answers
  /// with what is no credential.
  Result<std::optional<Credentials>> get(const std::string& server, std::stop_token stop) const;
  Status store(const std::string& server, const Credentials& credentials,
               std::stop_token stop) const;
  /// Having none to erase is success.
  Status erase(const std::string& server, std::stop_token stop) const;

 private:
  struct Answer {
    bool ok = false;
    std::string text;
  };
  CredentialHelper(HelperPlace place, std::string program)
      : place_(std::move(place)), program_(std::move(program)) {}
  Result<Answer> run(const char* action, const std::string& input,
                     const std::stop_token& stop) const;
  tl::unexpected<Error> refused(const char* action, const Answer& answer) const;

  HelperPlace place_;
  std::string program_;
};

}  // namespace kiln::oci
