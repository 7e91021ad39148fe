// Repositories that stand for those of another registry: what is asked for and not here is fetched,
// verified and kept. Nobody pushes to them.
#pragma once

#include "base/guarded.h"
#include "base/http_client.h"
#include "cache/server/registry.h"
#include "oci/credentials.h"
#include "oci/registry_client.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

struct Upstream {
  std::string prefix;  // "hub": repositories below "hub/" here; "": all
  std::string remote;  // "docker.io", "registry.example:5000"
  std::string username, password_file;
  std::chrono::seconds refresh{std::chrono::minutes(10)};  // how long a tag is not asked for again
  std::chrono::seconds keep{std::chrono::hours(7 * 24)};   // how long what nobody pulls stays
  bool operator==(const Upstream&) const = default;
};

/// Thread-safe; every call but covers() may wait for the other registry.
class Mirror {
 public:
  /// Reads the passwords. `max_waiting`: calls that may wait at once; more are refused with 429.
  static Result<std::unique_ptr<Mirror>> create(std::vector<Upstream> upstreams, Registry& registry,
                                                size_t max_waiting,
                                                std::function<void(std::string_view)> log);
  bool covers(const std::string& repository) const { return upstream_of(repository) != nullptr; }
  /// Success says that the registry was asked if need be, not that it is here: MANIFEST_UNKNOWN is
  /// for who looks next. An old tag serves where the other registry cannot be reached.
  ApiStatus fetch_manifest(const std::string& repository, const std::string& reference);
  ApiStatus fetch_blob(const std::string& repository, const BlobDigest& digest);
  /// Those of the other registry; those that are here where it cannot be reached.
  ApiResult<std::vector<std::string>> tags(const std::string& repository);
  /// Forgets manifests that nobody has asked for in Upstream::keep.
  Status expire(TimePoint now);
  void stop() { stop_.request_stop(); }

 private:
  struct Flight;
  class Waiting;
  using Repositories = std::map<std::string, std::shared_ptr<oci::Repository>>;
  Mirror(std::vector<Upstream> upstreams, Registry& registry, size_t max_waiting,
         std::function<void(std::string_view)> log);
  const Upstream* upstream_of(const std::string& repository) const;
  Result<oci::Reference> place_of(const std::string& repository,
                                  const std::string& reference) const;
  Result<std::shared_ptr<oci::Repository>> open(const std::string& repository);
  ApiStatus once(const std::string& key, const std::function<ApiStatus()>& fetch);
  ApiStatus download_manifest(const std::string& repository, const std::string& reference,
                              bool have_old);
  ApiStatus download_blob(const std::string& repository, const BlobDigest& digest, uint64_t size);
  ApiError refused(const Error& error, const std::string& repository);

  const std::vector<Upstream> upstreams_;
  Registry& registry_;
  const size_t max_waiting_;
  const std::function<void(std::string_view)> log_;
  const std::unique_ptr<HttpClient> http_;
  oci::CredentialStore credentials_;  // constant after create()
  std::stop_source stop_;
  std::atomic<size_t> waiting_{0};
  Guarded<Repositories> repositories_;
  Guarded<std::map<std::string, std::shared_ptr<Flight>>> flights_;  // fetches under way
};

}  // namespace kiln::server
