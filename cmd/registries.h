// Registries as this user and this machine reach them: Docker's credentials, kiln's configuration,
// one HTTP client. Read when the first registry is talked to.
#pragma once

#include "cmd/args.h"
#include "oci/credential_helper.h"
#include "oci/reference.h"
#include "oci/registry_session.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace kiln::cmd {

/// $DOCKER_CONFIG/config.json, or ~/.docker/config.json; "": there is no home.
std::string docker_config_path(const Environment& environment);
/// Its text; "" if there is none.
Result<std::string> read_docker_config(const std::string& path);
/// HTTP_PROXY where http_proxy, which libcurl reads, says nothing; else "" (base/http_client.h).
std::string http_proxy(const Environment& environment);
/// Credential helpers see what the user does.
oci::HelperPlace helper_place(const Environment& environment);

/// Thread-safe.
class Registries {
 public:
  explicit Registries(const Environment& environment) : environment_(environment) {}
  /// Valid as long as this. kInvalidArgument: one of the files cannot be read, with its line.
  Result<oci::RegistryAccess> access();
  /// The same, with plain http and unverified certificates for `domain`.
  Result<oci::RegistryAccess> insecure_access(const std::string& domain);

  /// What a name meant when it was asked for, so that an image that comes later, by its digest, is
  /// called by the name that led to it.
  void remember(const oci::Reference& name, const Digest& image);
  bool remembers(const oci::Reference& name, const Digest& image);

 private:
  struct Parts;
  Status prepare();

  const Environment environment_;
  std::mutex mutex_;  // all below
  std::shared_ptr<Parts> parts_;
  std::map<std::string, std::unique_ptr<oci::RegistryConfig>> insecure_;
  std::map<std::string, Digest> meanings_;  // by NAME:TAG
};

}  // namespace kiln::cmd
