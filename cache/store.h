// From keys to results. A lost, torn or unreadable record is a miss, never an error; a wrong hit is
// the one unforgivable bug.
#pragma once

#include "cache/key.h"
#include "oci/descriptor.h"

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln {

struct CacheResult {
  std::string
      local_ref;  // opaque here (a snapshot id); "" : the empty tree, or not on this machine
  bool empty_tree = false;             // the result is an empty tree (scratch)
  std::vector<oci::LayerBlob> layers;  // the whole chain, root first; empty: never exported
  /// When each of `layers` was made; empty: not known.
  std::vector<std::chrono::sys_seconds> layer_times;
  std::chrono::sys_time<std::chrono::nanoseconds>
      created{};  // when the step ran: history's `created`
};

/// Held while one process computes a key; others wait for it and then find the result.
class KeyLock {
 public:
  virtual ~KeyLock() = default;
};

/// Thread-safe.
class CacheStore {
 public:
  virtual ~CacheStore() = default;
  /// `key` may be asked for soon: stores far away answer many at once. Never blocks.
  virtual void announce(const CacheKey& /*key*/) {}
  virtual Result<std::optional<CacheResult>> find(const CacheKey& key) = 0;
  virtual Status save(const KeyRecord& record, const CacheResult& result) = 0;  // replaces
  /// A definition key that stood for a content key the last time: the fast path around reading an
  /// input's content.
  virtual Result<std::optional<CacheKey>> find_alias(const CacheKey& fast) = 0;
  virtual Status save_alias(const KeyRecord& fast, const CacheKey& target) = 0;
  /// Drops a record whose result turned out to be gone.
  virtual Status forget(const CacheKey& key) = 0;
  /// Blocks (kCancelled on stop). Stores without a notion of it return an empty lock.
  virtual Result<std::unique_ptr<KeyLock>> lock(const CacheKey& key, std::stop_token stop) = 0;
};

}  // namespace kiln
