// The build cache's routes: entries of registry caches, looked up and published many at a time. An
// entry is a manifest of its repository, so that rights, quotas, collection and everything else are
// the registry's. The first writer of a key wins: what others say later is kept out and written to
// the log.
#pragma once

#include <atomic>

#include "base/json.h"
#include "cache/server/registry.h"
#include "cache/server/registry_api.h"
#include "cache/server/service.h"
#include "cache/transport.h"

namespace kiln::server {

class CacheApi : public RouteHandler {
 public:
  /// `mirror` may be null.
  CacheApi(Registry& registry, const Mirror* mirror, LineWriter log)
      : registry_(registry), mirror_(mirror), log_(std::move(log)) {}
  Started start(const Request& request, const Principal& who) override;

 private:
  class Receiver;
  struct Place {
    std::string repository, tag;
  };
  static ApiResult<Place> place_of(const Request& request);
  ApiStatus authorize(const std::string& what, const Place& place, const Principal& who) const;
  ApiResult<Json> lookup(const Place& place, const Json& request);
  ApiResult<Json> publish(const Place& place, const Json& request, const Principal& who);
  ApiResult<std::optional<std::string>> manifest(const Place& place, const std::string& tag);
  /// True: an entry was there, and stays.
  ApiResult<bool> publish_one(const Place& place, const cache::Publication& publication,
                              const Principal& who);

  Registry& registry_;
  const Mirror* const mirror_;
  const LineWriter log_;
  std::atomic<size_t> bodies_bytes_{0};  // of all requests on the way
};

}  // namespace kiln::server
