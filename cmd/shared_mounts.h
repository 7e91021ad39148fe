// The cache mounts that a build shares with other machines (mounts= of --cache-from and
// --cache-to). A mount that cannot be had or sent costs a warning.
#pragma once

#include <atomic>
#include <chrono>
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
    std::chrono::milliseconds patience{5000};
    ProgressSink& progress;
    std::function<void(const std::string& step, const Error&)> warn;
  };
  explicit BuildMounts(Config config) : config_(std::move(config)) {}

  /// `usable` says whether the cache is worth asking still; of both.
  void read_from(std::shared_ptr<cache::CacheTransport> transport, MountNames names,
                 std::function<bool()> usable);
  /// Between solves.
  void stop_reading() { readers_.clear(); }
  void write_to(std::shared_ptr<cache::CacheTransport> transport, MountNames names,
                std::function<bool()> usable);

  Filled fill(const std::string& id, const std::string& path, std::stop_token stop) override;
  void on_use(const std::string& id) override;
  /// Sends the mounts that were used, after the last step.
  void send(const std::stop_token& stop);

 private:
  struct Reader {
    std::shared_ptr<cache::CacheTransport> transport;
    MountNames names;
    std::function<bool()> usable;
    std::atomic<bool> lost = false;
  };
  struct Writer {
    std::shared_ptr<cache::CacheTransport> transport;
    MountNames names;
    std::function<bool()> usable;
  };
  Status send_one(const Writer& writer, const std::string& id, const std::stop_token& stop);

  const Config config_;
  std::vector<std::unique_ptr<Reader>> readers_;
  std::vector<Writer> writers_;
  Guarded<std::set<std::string>> used_;
};

}  // namespace kiln::cmd
