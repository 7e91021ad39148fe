// What a root holds, as `kiln du` lists and `kiln prune` takes it: images, results of steps,
// downloads, cache mounts, and what nothing names any more. Every byte is counted once, so sums of
// items are sums on the disk.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cache/key.h"
#include "cmd/engine.h"

namespace kiln::cmd {

struct StoreItem {
  using Time = std::chrono::sys_time<std::chrono::nanoseconds>;
  std::string id;
  /// As BuildKit names them: regular (a step, a base image), source.local, source.git.checkout,
  /// source.http, exec.cachemount, internal (what nothing names); and image.
  std::string type;
  std::string description;
  std::vector<std::string> parents;  // ids
  /// On the disk. What several items share is counted for the first: images before steps before
  /// downloads.
  uint64_t bytes = 0;
  bool shared = false;          // some of it is another item's too
  bool in_use = false;          // a running build's
  bool reclaimable = true;      // `kiln prune -a` removes it
  bool changes = false;         // its content does (a cache mount)
  Time created{}, last_used{};  // also of what stands on it
  uint64_t uses = 0;
  Json labels;  // of an image

  // What is to be removed for it to go: some of
  std::vector<CacheKey> records;
  std::string snapshot, download, cache_mount;
  std::optional<Digest> dangling_image;
};

/// Images, steps from the bottom up, dangling images, downloads, cache mounts, the rest. Measures
/// directories that nobody has measured. An Engine of Need::kBuild.
Result<std::vector<StoreItem>> store_items(Engine& engine);

}  // namespace kiln::cmd
