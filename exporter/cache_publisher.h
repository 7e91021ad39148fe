// Step results into a shared cache: one entry for each step, under its key, with the layers that
// its result is made of. Knows what it has sent, so that the same may be offered again.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "cache/local_store.h"
#include "cache/transport.h"
#include "exporter/exporter.h"
#include "oci/compression.h"
#include "solver/solver.h"

namespace kiln {

/// Not thread-safe.
class CachePublisher {
 public:
  struct Config {
    cache::CacheTransport& transport;
    oci::CompressionOptions compression;
    LocalCacheStore& records;  // knows the records of what was cached
    ExportContext& context;
    std::stop_token stop;
  };
  explicit CachePublisher(const Config& config) : config_(config) {}

  /// A result that is not on this machine: fetched first, or left out?
  enum class Remote : uint8_t { kFetch, kSkip };
  /// Uploads and publishes what the transport does not have yet. Blocks; kCancelled on stop.
  /// kUnavailable: the cache; entries published before it stay.
  Status publish(std::span<const SolvedEdge> edges, Remote remote);
  /// So far.
  size_t steps() const { return steps_; }
  size_t layers() const { return sent_.size(); }

 private:
  /// A step's result that may be published.
  struct Candidate {
    KeyRecord record;
    CacheResult result;
    RefPtr ref;  // null: not loaded in this build
  };
  struct Alias {
    KeyRecord fast;
    CacheKey target;
  };
  struct Packed {
    oci::LayerBlob blob;
    std::chrono::sys_seconds made;
  };
  Status collect(const SolvedEdge& edge, Remote remote);
  Result<std::optional<CacheResult>> result_of(const SolvedEdge& edge) const;
  Status drop_present();
  Status make_publications();
  void add(cache::Publication publication);
  Result<bool> add_layers(Candidate& candidate);
  Result<const Packed*> pack(const SnapshotId& id);
  Status send();
  Status upload(const std::vector<oci::Descriptor>& blobs);

  const Config config_;
  std::set<CacheKey> known_;              // are there, or were looked at
  std::map<std::string, Packed> packed_;  // by snapshot
  std::set<Digest> sent_;                 // layers
  size_t steps_ = 0;
  // Of the call under way.
  std::map<CacheKey, Candidate> candidates_;
  std::map<CacheKey, Alias> aliases_;
  std::map<Digest, oci::Descriptor> blobs_;
  std::vector<cache::Publication> publications_;
};

}  // namespace kiln
