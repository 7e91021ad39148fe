// The cache mounts that a build shares with other machines (mounts= of --cache-from and
// --cache-to). A mount that cannot be had or sent costs a warning.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "base/progress.h"
#include "cache/transport.h"
#include "cmd/cache_options.h"
#include "solver/ops/shared_mounts.h"

namespace kiln::cmd {

class BuildMounts : public SharedMounts {
 public:
  struct Config {
    std::string directory;  // of the cache mounts
    ProgressSink& progress;
  };
  explicit BuildMounts(Config config) : config_(std::move(config)) {}

  /// Where mounts are read from, or sent to.
  struct Place {
    std::shared_ptr<cache::CacheTransport> transport;
    MountNames names;
    std::function<bool()> usable;  // is it worth asking still?
    std::function<void(const std::string& step, const Error&)> warn;
  };
  void read_from(Place place);
  void write_to(Place place) { writers_.push_back(std::move(place)); }

  Filled fill(const std::string& id, const std::string& path, std::stop_token stop) override;
  void on_use(const std::string& id) override;
  /// Sends the mounts that were used, after the last step.
  void send(const std::stop_token& stop);

 private:
  struct Reader {
    explicit Reader(Place place) : from(std::move(place)) {}
    const Place from;
    std::atomic<bool> lost = false;
  };
  Status send_one(const Place& to, const std::string& id, const std::stop_token& stop);

  const Config config_;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::vector<Place> writers_;
  Guarded<std::set<std::string>> used_;
};

}  // namespace kiln::cmd
