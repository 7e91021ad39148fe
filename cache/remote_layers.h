// Which layers can be fetched from where, and the fetching. Results of shared caches are found by
// their entries alone; their layers come when somebody looks at the files.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <stop_token>
#include <unordered_map>
#include <vector>

#include "base/guarded.h"
#include "cache/transport.h"
#include "oci/content_store.h"

namespace kiln::cache {

/// Thread-safe.
class RemoteLayers {
 public:
  /// `patience`: how long a transfer may stand still.
  RemoteLayers(oci::ContentStore& content, const oci::Lease& lease,
               std::chrono::milliseconds patience)
      : content_(content), lease_(lease), patience_(patience) {}

  /// `layers` can be had from `transport`, as far as it says.
  void announce(std::span<const oci::LayerBlob> layers,
                const std::shared_ptr<CacheTransport>& transport);
  /// Each layer is here or was announced.
  Result<bool> can_fetch(std::span<const oci::LayerBlob> layers);
  /// Brings what is not here, three at a time, verified. An error is of the first layer that could
  /// not be had: kDataLoss: its bytes are others; kUnavailable: gone, unreachable or too slow. From
  /// then on the transport is not asked again.
  Status fetch(std::span<const oci::LayerBlob> layers, std::stop_token stop);
  /// True: a transport did not keep what it promised.
  bool failed() const { return failed_; }
  /// Forgets everything that was announced.
  void clear();

 private:
  using Transport = std::shared_ptr<CacheTransport>;
  Result<std::vector<oci::Descriptor>> missing(std::span<const oci::LayerBlob> layers);
  Transport origin(const Digest& blob);
  Status fetch_one(const oci::Descriptor& blob, const std::stop_token& stop);

  oci::ContentStore& content_;
  const oci::Lease& lease_;
  const std::chrono::milliseconds patience_;
  Guarded<std::unordered_map<Digest, Transport>> origins_;
  std::atomic<bool> failed_{false};
};

}  // namespace kiln::cache
