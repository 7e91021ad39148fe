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
  bool may_go = true;  // false: counts for what is held, but is no victim
};

/// What a user allows a cache; nothing set: nothing is a reason to keep any of it.
struct SpaceLimits {
  std::optional<uint64_t> reserved_bytes{};  // may always stay
  std::optional<uint64_t> max_used_bytes{};  // never more than that
  std::optional<uint64_t> min_free_bytes{};  // of the disk, afterwards
};
/// How much of a cache of `held` bytes may stay on a disk with `free` bytes; nullopt: no limit is
/// set. What is reserved stays even if the others would have it go; where it alone is set, no more
/// than that stays.
std::optional<uint64_t> bytes_to_keep(const SpaceLimits& limits, uint64_t held, uint64_t free);

/// Bytes of the trees that records hold.
uint64_t held_bytes(std::span<const PruneRecord> records, std::span<const StoredTree> trees);

struct PrunePlan {
  std::vector<CacheKey> victims;  // in the order to remove them
  uint64_t freed_bytes = 0;       // of trees that no remaining record holds
};

/// Least recently used first, until the trees that records still hold take no more than
/// `keep_bytes`; nullopt: all that may go. A record counts as used when any record of a tree above
/// its own is: a hit on the last step of a build stamps that step alone, yet lives on the trees
/// below.
PrunePlan plan_prune(std::span<const PruneRecord> records, std::span<const StoredTree> trees,
                     std::optional<uint64_t> keep_bytes);

}  // namespace kiln
