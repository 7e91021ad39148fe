// Which layers can be fetched from where, and the fetching. Results of shared caches are found by
// their entries alone; their layers come when somebody looks at the files.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "base/progress.h"
#include "cache/transport.h"
#include "oci/content_store.h"

namespace kiln::cache {

/// Thread-safe.
class RemoteLayers {
 public:
  RemoteLayers(oci::ContentStore& content, const oci::Lease& lease, ProgressSink& progress)
      : content_(content), lease_(lease), progress_(progress) {}

  /// `layers` can be had from `transport`, as far as it says.
  void announce(std::span<const oci::LayerBlob> layers,
                const std::shared_ptr<CacheTransport>& transport);
  /// Each layer is here, or was announced by a transport that is not left alone.
  Result<bool> can_fetch(std::span<const oci::LayerBlob> layers);
  /// Brings what is not here, three at a time, verified; a step of the progress. An error is of the
  /// first layer that could not be had: kDataLoss: its bytes are others; kUnavailable: gone,
  /// unreachable or too slow. What its transport announced is forgotten.
  Status fetch(std::span<const oci::LayerBlob> layers, std::stop_token stop);
  /// The transports that did not keep what they promised, since clear().
  std::vector<std::shared_ptr<CacheTransport>> failed();
  /// Forgets everything that was announced, and what failed.
  void clear();

 private:
  using Transport = std::shared_ptr<CacheTransport>;
  struct State {
    std::unordered_map<Digest, Transport> origins;
    std::vector<Transport> failed;
  };
  Result<std::vector<oci::Descriptor>> missing(std::span<const oci::LayerBlob> layers);
  Transport origin(const Digest& blob);
  Status fetch_all(std::span<const oci::Descriptor> blobs, const Digest& step,
                   const std::stop_token& stop);
  Status fetch_one(const oci::Descriptor& blob, const Digest& step, const std::stop_token& stop);
  Status receive(const oci::Descriptor& blob, CacheTransport& from, const Digest& step,
                 const std::stop_token& stop);
  void note_failure(const Transport& of);

  oci::ContentStore& content_;
  const oci::Lease& lease_;
  ProgressSink& progress_;
  Guarded<State> state_;
};

}  // namespace kiln::cache
