// One registry server, put together from its parts: what `kiln serve` runs.
#pragma once

#include "base/result.h"
#include "cache/server/config.h"
#include "cache/server/service.h"

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::server {

struct ServeOptions {
  std::string host;
  uint16_t port = 0;
  std::string storage;              // a directory, or "s3://BUCKET/PREFIX"
  bool plaintext_anywhere = false;  // plain http on addresses that are not loopback
  ServerConfig config;
  LineWriter log;
};

/// kInvalidArgument: an address or configuration that would not be safe.
Status check_exposure(const ServeOptions& options);

/// A running server; the destructor stops it.
class RegistryServer {
 public:
  static Result<std::unique_ptr<RegistryServer>> start(ServeOptions options);
  ~RegistryServer();
  uint16_t port() const;
  /// Certificates, users, tokens, permissions and trusted proxies are those of `config` from now
  /// on, or, after an error, nothing is different. Connections and requests that have begun keep
  /// what they have. Returns the sections that changed and are read only when a server starts. By
  /// one thread at a time.
  Result<std::vector<std::string>> reload(const ServerConfig& config);
  /// Collects garbage now and then until `stop` is requested, then stops the server.
  void run(const std::stop_token& stop);
  Service& service();

 private:
  struct Parts;
  explicit RegistryServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// Reads a configuration file and the files that it names. "": the default, which is open to all.
Result<ServerConfig> load_config(const std::string& file);
/// Its [storage] alone; files that it names are not read.
Result<StorageFacts> load_storage_facts(const std::string& file);

}  // namespace kiln::server
