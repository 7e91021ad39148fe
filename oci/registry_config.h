// How registries are reached: mirrors, plain http, certificates. From one TOML file with
// buildkitd.toml's keys (docs/registries.md) and from Docker's directories of certificates.
#pragma once

#include "base/http_client.h"
#include "base/result.h"
#include "oci/url.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::oci {

/// What is said about one registry.
struct HostConfig {
  std::vector<std::string> mirrors;  // "host[:port][/prefix]", asked before the registry itself
  std::optional<bool> http;          // plain http; not said: never, but on loopback
  std::optional<bool> insecure;      // certificates are not verified; not said: only on loopback
  std::vector<std::string> ca_files;
  std::vector<ClientCertificate> client_certificates;  // of which one is shown: HttpRequest
};

/// Constant once it is filled in; then thread-safe.
class RegistryConfig {
 public:
  /// `file` is for errors and for where relative paths start. kInvalidArgument with file and line:
  /// not TOML, an unknown key, a value of another type.
  static Result<RegistryConfig> parse(std::string_view toml, const std::string& file);

  /// Docker's directories: DIRECTORY/HOST[:PORT] with *.crt, *.cert and *.key. Absent is success.
  void use_certificates_of(std::string directory) { certificates_ = std::move(directory); }
  void set(const std::string& domain, HostConfig config);

  /// All that is known of `domain` ("docker.io", "localhost:5000"), the directories included.
  Result<HostConfig> find(const std::string& domain) const;
  /// Sets what TLS to the URL's host takes; certificates are read here. kNotFound,
  /// kInvalidArgument: they cannot be.
  Status prepare(const Url& url, HttpRequest& request) const;

 private:
  Status add_certificates(const std::string& directory, HostConfig& config) const;

  std::map<std::string, HostConfig> hosts_;
  std::string certificates_;
};

}  // namespace kiln::oci
