#include "cache/prune.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace kiln {
namespace {

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

struct Tree {
  Tree* parent = nullptr;
  uint64_t bytes = 0;
  size_t holders = 0;  // records of this tree, and trees on top of it that are held
  size_t depth = 0;
  Time last_used{};
};
using Forest = std::unordered_map<std::string_view, Tree>;

Forest forest_of(std::span<const StoredTree> trees) {
  Forest forest;
  for (const StoredTree& tree : trees) forest[tree.id].bytes = tree.bytes;
  for (const StoredTree& tree : trees) {
    const auto parent = forest.find(tree.parent);
    if (parent != forest.end()) forest[tree.id].parent = &parent->second;
  }
  for (auto& [id, tree] : forest) {
    for (const Tree* below = tree.parent; below != nullptr; below = below->parent) {
      KILN_CHECK(tree.depth <= trees.size());  // no cycles
      ++tree.depth;
    }
  }
  return forest;
}

Tree* tree_of(Forest& forest, const PruneRecord& record) {
  const auto found = forest.find(record.tree);
  return found == forest.end() ? nullptr : &found->second;
}

// Returns the bytes that are held for the first time.
uint64_t hold(Tree* tree, Time last_used) {
  uint64_t bytes = 0;
  bool first = true;  // a tree holds its parent once
  for (; tree != nullptr; tree = tree->parent) {
    tree->last_used = std::max(tree->last_used, last_used);
    if (first && tree->holders++ == 0) {
      bytes += tree->bytes;
    } else {
      first = false;
    }
  }
  return bytes;
}

uint64_t release(Tree* tree) {
  uint64_t bytes = 0;
  for (; tree != nullptr && --tree->holders == 0; tree = tree->parent) bytes += tree->bytes;
  return bytes;
}

struct Candidate {
  const PruneRecord* record;
  Tree* tree;
  Time last_used() const { return tree != nullptr ? tree->last_used : record->last_used; }
  size_t depth() const { return tree != nullptr ? tree->depth : 0; }
};

// The least recently used first; of those, the tops of the trees; then by key, to be the same on
// every run.
bool goes_before(const Candidate& a, const Candidate& b) {
  if (a.last_used() != b.last_used()) return a.last_used() < b.last_used();
  if (a.depth() != b.depth()) return a.depth() > b.depth();
  return a.record->key < b.record->key;
}

}  // namespace

std::optional<uint64_t> bytes_to_keep(const SpaceLimits& limits, uint64_t held, uint64_t free) {
  if (!limits.reserved_bytes && !limits.max_used_bytes && !limits.min_free_bytes)
    return std::nullopt;
  const uint64_t reserved = limits.reserved_bytes.value_or(0);
  if (!limits.max_used_bytes && !limits.min_free_bytes) return reserved;
  uint64_t keep = std::min(held, limits.max_used_bytes.value_or(held));
  if (limits.min_free_bytes && *limits.min_free_bytes > free) {
    const uint64_t missing = *limits.min_free_bytes - free;
    keep = std::min(keep, held > missing ? held - missing : 0);
  }
  return std::max(keep, reserved);
}

uint64_t held_bytes(std::span<const PruneRecord> records, std::span<const StoredTree> trees) {
  Forest forest = forest_of(trees);
  uint64_t bytes = 0;
  for (const PruneRecord& record : records) bytes += hold(tree_of(forest, record), {});
  return bytes;
}

PrunePlan plan_prune(std::span<const PruneRecord> records, std::span<const StoredTree> trees,
                     std::optional<uint64_t> keep_bytes) {
  Forest forest = forest_of(trees);
  std::vector<Candidate> candidates;
  uint64_t held = 0;
  for (const PruneRecord& record : records) {
    Tree* tree = tree_of(forest, record);
    held += hold(tree, record.last_used);
    candidates.push_back({&record, tree});
  }
  std::sort(candidates.begin(), candidates.end(), goes_before);
  PrunePlan plan;
  for (const Candidate& candidate : candidates) {
    if (keep_bytes && held - plan.freed_bytes <= *keep_bytes) break;
    if (!candidate.record->may_go) continue;
    plan.victims.push_back(candidate.record->key);
    plan.freed_bytes += release(candidate.tree);
  }
  return plan;
}

}  // namespace kiln
