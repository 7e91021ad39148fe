// All that one server answers: the registry below /v2/, health, metrics, tokens, administration,
// and whatever else is mounted below a prefix of its own. Here requests are counted, limited,
// authenticated and written down; apart from any network.
#pragma once

#include "base/guarded.h"
#include "cache/server/authenticator.h"
#include "cache/server/client_address.h"
#include "cache/server/config.h"
#include "cache/server/metrics.h"
#include "cache/server/registry_api.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln::server {

/// Takes one line without its end; thread-safe.
using LineWriter = std::function<void(std::string_view line)>;

class Service : public Handler {
 public:
  struct Parts {
    Registry& registry;
    Metrics& metrics;
    Mirror* mirror;    // may be null
    LineWriter audit;  // may be empty
    LineWriter log;    // what the operator should know
  };
  Service(const ServerConfig& config, Parts parts);
  /// Further handlers, before the server starts. The longest prefix answers.
  void mount(std::string prefix, RouteHandler& handler);
  void set_draining() { draining_ = true; }
  /// Users, tokens, permissions, trusted proxies and what challenges say are these from now on;
  /// requests that have begun keep what they have.
  void replace_rules(const ServerConfig& config);

  /// That the process lives, even while the storage keeps every thread waiting.
  std::optional<Response> answer_at_once(Request& request) override;
  Started start(Request& request) override;
  void finished(const Request& request, int status, uint64_t in_bytes, uint64_t out_bytes) override;
  /// Runs a collection and says in the log what it did.
  ApiResult<Registry::Collected> collect();

 private:
  class Watched;
  /// What replace_rules() replaces, as a whole.
  struct Rules {
    explicit Rules(const ServerConfig& config, const std::string& token_key);
    const AccessRules access;
    const std::string realm, public_url;
    const TrustedProxies proxies;
    Authenticator authenticator;
  };
  using RulesPtr = std::shared_ptr<Rules>;
  RulesPtr rules() const { return *rules_.lock(); }
  void evict(TimePoint now);
  Started answer(Request& request, const RulesPtr& rules);
  std::optional<Response> answer_ready(const Request& request);
  static Response answer_token(const Request& request, const Principal& who, const Rules& rules);
  Response answer_metrics(const Request& request, const Principal& who);
  Response answer_collect(const Request& request, const Principal& who);
  Response challenge(const Request& request, const std::string& why);
  std::string challenge_text(const Request& request) const;
  void dress(const Request& request, Response& response);

  const ServerConfig config_;
  Parts parts_;
  mutable Guarded<RulesPtr> rules_;
  RateLimiter requests_, failed_logins_;
  RegistryApi registry_api_;
  std::vector<std::pair<std::string, RouteHandler*>> mounts_;
  std::atomic<bool> draining_{false};
  std::mutex asking_storage_;                // held by whoever does
  std::atomic<bool> storage_answers_{true};  // when it was asked last; it was when it was opened
};

}  // namespace kiln::server
