// The server's configuration file, in TOML (docs/serve.md has it key by key). What it does not know
// is an error with file and line: a misspelt limit is no limit.
#pragma once

#include "base/result.h"
#include "cache/server/access.h"
#include "cache/server/authenticator.h"
#include "cache/server/client_address.h"
#include "cache/server/eviction.h"
#include "cache/server/http_server.h"
#include "cache/server/mirror.h"
#include "cache/server/quota.h"
#include "cache/server/rate_limiter.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

/// [storage]: how to reach a bucket. Empty: not said.
struct StorageFacts {
  std::string endpoint, region, addressing, ca_file;
  std::string access_key_id, secret_access_key, session_token;
  bool operator==(const StorageFacts&) const = default;
};

struct ServerConfig {
  std::optional<TlsFiles> tls;
  TrustedProxies trusted_proxies;
  std::string realm = "kiln";
  std::string public_url;  // "https://registry.example"; "": as the client calls us
  std::string htpasswd;    // a file; read by whoever opens the server
  Credentials credentials;
  bool has_access_rules = false;
  AccessRules access;
  std::vector<Quota> quotas;
  std::vector<Upstream> upstreams;
  uint64_t max_blob_bytes = 64ULL << 30U;
  RateLimiter::Rate requests{0, 0};
  RateLimiter::Rate failed_logins{0.2, 20};
  HttpOptions http;
  std::chrono::seconds collect_interval{std::chrono::hours(6)};  // 0: never by itself
  std::chrono::seconds collect_grace{std::chrono::hours(24)};
  std::chrono::seconds upload_age{std::chrono::hours(24)};
  StorageFacts storage;    // for object storage; what the environment says is not in it
  CacheLimits cache;       // none: entries of build caches stay
  std::string audit_file;  // "": none; "-": standard error
  bool audit_reads = false;
};

/// The sections in which the two differ and that are read only when a server starts: "[limits]".
std::vector<std::string> sections_for_next_start(const ServerConfig& running,
                                                 const ServerConfig& wanted);

/// kInvalidArgument with the place.
Result<ServerConfig> parse_config(std::string_view text, const std::string& file);

}  // namespace kiln::server
