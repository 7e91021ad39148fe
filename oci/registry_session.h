// Requests to one registry on behalf of one repository: scheme, TLS, authorisation, redirects and
// repetitions. What is asked and what the answers mean is for who uses it (registry_client.h).
// Credentials reach the registry's own origin alone (SAFETY.md 4.1).
#pragma once

#include "base/guarded.h"
#include "base/http_client.h"
#include "oci/credentials.h"
#include "oci/registry_config.h"
#include "oci/url.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace kiln::oci {

/// Borrowed; must outlive what is opened with it.
struct RegistryAccess {
  HttpClient* http = nullptr;
  const CredentialStore* credentials = nullptr;  // null: anonymous
  const RegistryConfig* config = nullptr;        // null: nothing is configured
  std::chrono::milliseconds first_pause{500};    // before the first repetition; doubles with each
  int repetitions = 3;                           // of what is unavailable
};

/// Takes the body of a good response (2xx); of a bad one the text that says why.
class ResponseBody : public Sink {
 public:
  /// False: the body is not wanted.
  bool begin(const HttpResponse& response);
  Status write(std::span<const std::byte> data) final;
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

/// Keeps the body, bounded. kResourceExhausted beyond the limit.
class TextBody : public ResponseBody {
 public:
  TextBody(uint64_t limit_bytes, std::string what) : limit_(limit_bytes), what_(std::move(what)) {}
  std::string text;

 protected:
  Status begin_good(const HttpResponse& response) override;
  Status write_good(std::span<const std::byte> data) override;

 private:
  const uint64_t limit_;
  const std::string what_;
};

struct RegistryCall {
  std::string method = "GET";
  Url url;  // at the registry, or where it sent us
  std::vector<std::pair<std::string, std::string>> headers = {};
  /// Opened anew for each try; empty: no body.
  std::function<Result<std::unique_ptr<Source>>()> body = {};
  uint64_t body_bytes = 0;
};

struct RegistryReply {
  HttpResponse response;
  Url url;  // which answered
};

/// Where a repository is: its registry, its name there, and for a mirror whose place it takes.
struct RegistryPlace {
  std::string domain;          // "docker.io", "localhost:5000"
  std::string path;            // "library/alpine"; with the mirror's prefix
  std::string mirror_of = {};  // "docker.io"; "": it is no mirror
};

enum class RegistryRights : uint8_t { kPull, kPush };

/// Thread-safe.
class RegistrySession {
 public:
  struct Attempt {
    std::chrono::milliseconds pause{0};  // before the next one; set by Retry-After
  };

  /// Where the registry is: https, unless the configuration says http; on a loopback address
  /// whatever the registry speaks, http included, as Docker has it. Nobody needs to answer yet.
  static Result<Url> locate(const RegistryAccess& access, const std::string& domain,
                            std::stop_token stop);
  /// Sets what TLS to `url` takes.
  static Status prepare_tls(const RegistryAccess& access, const Url& url, HttpRequest& request);
  static Result<std::unique_ptr<RegistrySession>> open(const RegistryAccess& access,
                                                       RegistryPlace place, RegistryRights rights,
                                                       std::stop_token stop);

  const RegistryPlace& place() const { return place_; }
  /// "/v2/NAME/" and what follows, at the registry.
  Url at(std::string_view rest) const;
  /// Any status is a value. Redirects are followed, challenges of the registry answered once.
  Result<RegistryReply> send(const RegistryCall& call, ResponseBody& body,
                             const std::stop_token& stop);
  /// The error that a status of 300 and more is; kUnavailable for what may pass.
  Status check(const HttpResponse& response, const ResponseBody& body, Attempt& attempt) const;
  /// Repeats what is kUnavailable as often as the access says, with pauses.
  Status attempts(const std::function<Status(Attempt&)>& once, const std::stop_token& stop) const;

 private:
  struct Hop;
  RegistrySession(const RegistryAccess& access, RegistryPlace place, RegistryRights rights,
                  Url base);
  Result<RegistryReply> follow(const RegistryCall& call, const std::string& authorization,
                               ResponseBody& body, const std::stop_token& stop);
  Result<HttpResponse> ask(const RegistryCall& call, const Url& url,
                           const std::string& authorization, ResponseBody& body,
                           const std::stop_token& stop);
  Result<std::string> authorize(const HttpResponse& refusal, const std::stop_token& stop);
  Error denied(Code code, const std::string& text) const;

  // Constant after construction.
  const RegistryAccess access_;
  const RegistryPlace place_;
  const RegistryRights rights_;
  const Url base_;

  Guarded<std::string> authorization_;  // what the registry accepted last; "" at first
};

}  // namespace kiln::oci
