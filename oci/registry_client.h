// One repository of one registry, read over the distribution specification's HTTP API ("Pulling
// manifests", "Pulling blobs"). Redirects are followed here, without credentials for anyone but the
// registry; what is unavailable is asked for again three times, and blobs resume where they broke
// off (SAFETY.md 4.1, 4.2).
#pragma once

#include "base/guarded.h"
#include "base/http_client.h"
#include "oci/descriptor.h"
#include "oci/reference.h"
#include "oci/registry_auth.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace kiln::oci {

/// Borrowed; must outlive the repositories opened with it.
struct RegistryAccess {
  HttpClient* http = nullptr;
  const CredentialStore* credentials = nullptr;  // null: anonymous
  std::chrono::milliseconds first_pause{500};    // before the first repetition; doubles with each
};

/// Thread-safe.
class Repository {
 public:
  /// https; on a loopback address whatever the registry speaks, http included, as Docker has it.
  /// Nobody needs to answer yet.
  static Result<std::unique_ptr<Repository>> open(const RegistryAccess& access,
                                                  const Reference& name, std::stop_token stop);

  struct Document {
    Descriptor descriptor;  // digest and size are those of `text`
    std::string text;
  };
  /// A manifest or an index, 4 MiB at most, as the digest or else the tag of `name` has it.
  /// kNotFound; kUnauthenticated and kPermissionDenied with a hint; kDataLoss: not what the digest
  /// says.
  Result<Document> manifest(const Reference& name, std::stop_token stop);
  /// Writes the blob's bytes, exactly `blob.size` of them, to `to`; their digest is for the caller
  /// to check. `on_bytes` is told the total so far.
  Status blob(const Descriptor& blob, Sink& to, const std::function<void(uint64_t)>& on_bytes,
              std::stop_token stop);

 private:
  class Body;
  class TextBody;
  class BlobBody;
  struct Answer;
  struct Attempt;
  Repository(const RegistryAccess& access, const Reference& name, Url base);
  Status attempts(const std::function<Status(Attempt&)>& once, const std::stop_token& stop) const;
  Result<HttpResponse> get(const std::string& path, HttpRequest request, Body& body,
                           const std::stop_token& stop);
  Result<Answer> follow(HttpRequest request, Url url, const std::string& authorization, Body& body,
                        const std::stop_token& stop);
  Result<std::string> authorize(const HttpResponse& refusal, const std::stop_token& stop);
  Status check(const HttpResponse& response, const Body& body, Attempt& attempt) const;
  Error denied(Code code, const std::string& text) const;

  // Constant after construction.
  const RegistryAccess access_;
  const std::string domain_, path_;
  const Url base_;
  const bool loopback_;
  const std::optional<Credentials> credentials_;

  Guarded<std::string> authorization_;  // what the registry accepted last; "" at first
};

}  // namespace kiln::oci
