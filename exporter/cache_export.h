// What a build finds out, into a cache that other machines read: each result is packed and sent in
// the background as soon as it is there; what is left at the end is sent then.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <vector>

#include "cache/patient_transport.h"
#include "exporter/cache_publisher.h"
#include "llb/graph.h"

namespace kiln {

enum class CacheMode : uint8_t {
  kMin,  // the steps whose layers are in the targets
  kMax,  // every step
};

/// The outputs whose layers are in the targets (kMin), as far as the graph says.
std::set<llb::Output> image_chain(const llb::Graph& graph);

struct CacheExportOptions {
  CacheMode mode = CacheMode::kMin;
  oci::CompressionOptions compression;
  /// How long the end of the build may wait for what is not sent yet.
  enum class Wait : uint8_t {
    kNo,        // not at all
    kInReason,  // cache::Patience
    kForever,   // while something moves
  } wait = Wait::kInReason;
};

/// One export to one cache. Sources are left out, since they are asked anyway.
class CacheExport {
 public:
  struct Inputs {
    const llb::Graph& graph;
    cache::PatientTransport& transport;  // its Waits are kLater, of kForever kNever
    LocalCacheStore& records;
    ExportContext context;
    std::stop_token stop;
  };
  CacheExport(const Inputs& inputs, const CacheExportOptions& options);
  /// Abandons what is not sent.
  ~CacheExport();
  CacheExport(const CacheExport&) = delete;
  CacheExport& operator=(const CacheExport&) = delete;

  /// A result is there: it is sent in the background if it belongs into the cache. Never blocks.
  void offer(const SolvedEdge& edge);
  /// True: the cache failed, and would be tried in vain.
  bool lost();
  /// Sends what is missing of `solution` (nullopt: the build failed; what was offered is sent) and
  /// ends the export. Blocks; kCancelled on stop. kUnavailable: the cache; entries published
  /// before it stay.
  Status finish(const Solution* solution);

 private:
  void start();
  void work();
  Status work_off(std::vector<SolvedEdge> edges, const Solution* solution);
  Status publish_rest(const Solution& solution);
  bool belongs(const SolvedEdge& edge) const;

  const Inputs inputs_;
  const CacheExportOptions options_;
  const std::set<llb::Output> image_chain_;  // kMin: what the targets' layers come from
  std::stop_source abandon_;
  const std::stop_callback<std::function<void()>> chained_;
  ExportContext context_;
  CachePublisher publisher_;  // the thread's

  std::mutex mutex_;  // all below
  std::condition_variable changed_;
  std::vector<SolvedEdge> queue_;
  bool closing_ = false;
  const Solution* solution_ = nullptr;  // while closing
  Status outcome_;                      // the first error
  std::thread thread_;
};

}  // namespace kiln
