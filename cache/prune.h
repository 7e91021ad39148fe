// Which cache records to give up, decided from values alone: least recently used first. Reading the
// records, removing them and letting go of their storage are the caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/key.h"

namespace kiln {

/// A tree on disk that records name by `id`. A tree cannot go before the trees made on top of it.
struct StoredTree {
  std::string id;
  std::string parent;  // "": none
  uint64_t bytes = 0;  // its own, without the parent's
};

struct PruneRecord {
  CacheKey key;
  std::string tree;  // StoredTree::id; "": holds no storage
  std::chrono::sys_time<std::chrono::nanoseconds> last_used{};
};

/// Without any limit all records are victims.
struct PruneOptions {
  std::chrono::sys_time<std::chrono::nanoseconds> now{};
  /// Only records that nobody has used for at least this long.
  std::optional<std::chrono::nanoseconds> unused_for{};
  /// Stop once the trees that records still hold take no more than this many bytes.
  std::optional<uint64_t> keep_bytes{};
};

struct PrunePlan {
  std::vector<CacheKey> victims;  // in the order to remove them
  uint64_t freed_bytes = 0;       // of trees that no remaining record holds
};

/// A record counts as used when any record of a tree above its own is: a hit on the last step of a
/// build stamps that step alone, yet lives on the trees below.
PrunePlan plan_prune(std::span<const PruneRecord> records, std::span<const StoredTree> trees,
                     const PruneOptions& options);

}  // namespace kiln
