// A shared cache as a CacheStore: lookups only. It costs time, never correctness: what does not
// verify is a miss, and a cache that fails is left alone for the rest of the build (SAFETY.md 3.7).
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/entry.h"
#include "cache/remote_layers.h"
#include "cache/store.h"
#include "cache/transport.h"

namespace kiln::cache {

/// Thread-safe.
class RemoteCacheStore : public CacheStore {
 public:
  struct Config {
    std::shared_ptr<CacheTransport> transport;  // knows how long to wait: patient_transport.h
    RemoteLayers* layers = nullptr;             // borrowed; told what is found
    std::function<void(const Error&)> on_lost;  // once, when it is given up
    std::stop_token stop;                       // ends a lookup that waits
  };
  explicit RemoteCacheStore(Config config) : config_(std::move(config)) {}

  /// Keys that may be looked up soon travel together with the next lookup.
  void announce(const CacheKey& key) override;
  Result<std::optional<CacheResult>> find(const CacheKey& key) override;
  Result<std::optional<CacheKey>> find_alias(const CacheKey& fast) override;
  Status save(const KeyRecord& /*record*/, const CacheResult& /*result*/) override { return {}; }
  Status save_alias(const KeyRecord& /*fast*/, const CacheKey& /*target*/) override { return {}; }
  /// A result with its record; its layers are not announced. nullopt: there is none.
  std::optional<ResultEntry> entry(const CacheKey& key);
  /// For this build.
  Status forget(const CacheKey& key) override;
  /// True: it was given up, and would be asked in vain.
  bool lost();
  Result<std::unique_ptr<KeyLock>> lock(const CacheKey& key, std::stop_token stop) override;

 private:
  using Answer = std::optional<Entry>;  // nullopt: there is none
  Answer look_up(const CacheKey& key);
  void ask(std::unique_lock<std::mutex>& hold, std::vector<CacheKey> keys);
  void take(std::span<const CacheKey> keys, const std::vector<std::optional<std::string>>& entries);
  void give_up(const Error& error);

  const Config config_;
  std::mutex mutex_;  // all below
  std::condition_variable answered_;
  std::unordered_map<Digest, Answer> answers_;  // by key
  std::vector<CacheKey> announced_;             // not asked for yet
  bool asking_ = false;
  bool lost_ = false;
};

}  // namespace kiln::cache
