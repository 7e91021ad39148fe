#include "exporter/cache_export.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/parallel.h"
#include "base/watchdog.h"
#include "cache/entry.h"
#include "exporter/step.h"
#include "solver/ops/tree_ref.h"

namespace kiln {
namespace {

constexpr size_t kParallelUploads = 4;

/// A step's result that may be published.
struct Candidate {
  KeyRecord record;
  CacheResult result;
  RefPtr ref;  // null: not loaded in this build
};

class CacheExport {
 public:
  CacheExport(const llb::Graph& graph, const Solution& solution, cache::CacheTransport& transport,
              const CacheExportOptions& options, LocalCacheStore& records, ExportContext& context,
              std::stop_token stop)
      : graph_(graph),
        solution_(solution),
        transport_(transport),
        options_(options),
        records_(records),
        context_(context),
        stop_(std::move(stop)) {}

  Status run(ExportStep& step) {
    KILN_TRY(collect());
    KILN_TRY(drop_present());
    KILN_TRY(make_publications());
    step.log("uploading " + std::to_string(blobs_.size()) + " layers of " +
             std::to_string(candidates_.size()) + " steps\n");
    KILN_TRY(upload());
    return publish();
  }

 private:
  // ---- what there is

  Status collect() {
    if (options_.mode == CacheMode::kMin) KILN_TRY(find_kept_snapshots());
    for (const SolvedEdge& edge : solution_.edges) {
      if (stop_.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
      if (!edge.key || std::holds_alternative<llb::SourceOp>(graph_.vertex(edge.edge.vertex).op))
        continue;
      KILN_TRY(collect(edge));
    }
    return {};
  }

  Status collect(const SolvedEdge& edge) {
    std::optional<KeyRecord> record = edge.record;
    if (!record || record->key() != *edge.key) {
      KILN_TRY_ASSIGN(record, records_.record(*edge.key));
    }
    KILN_TRY_ASSIGN(const std::optional<CacheResult> result, result_of(edge));
    if (!record || !result) return {};
    if (options_.mode == CacheMode::kMin && !kept_.contains(result->local_ref)) return {};
    candidates_.insert_or_assign(*edge.key, Candidate{*std::move(record), *result, edge.ref});
    if (edge.alias) aliases_.insert_or_assign(edge.alias->key(), std::pair(*edge.alias, *edge.key));
    return {};
  }

  Result<std::optional<CacheResult>> result_of(const SolvedEdge& edge) {
    std::optional<CacheResult> result;
    if (edge.ref) {
      KILN_TRY_ASSIGN(result, edge.ref->cache_result());
      if (result && edge.created) result->created = *edge.created;
    } else {
      KILN_TRY_ASSIGN(result, records_.find(*edge.key));
    }
    return result;
  }

  /// Those that the targets stand on.
  Status find_kept_snapshots() {
    for (const RefPtr& target : solution_.targets) {
      KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*target));
      KILN_TRY_ASSIGN(const auto id, tree->snapshot(stop_));
      if (!id) continue;
      KILN_TRY_ASSIGN(const std::vector<SnapshotId> chain, context_.snapshots.chain(*id));
      for (const SnapshotId& link : chain) kept_.insert(link.value);
    }
    return {};
  }

  // ---- what is missing there

  Status drop_present() {
    std::vector<CacheKey> keys;
    for (const auto& [key, candidate] : candidates_) keys.push_back(key);
    for (const auto& [key, alias] : aliases_) keys.push_back(key);
    const size_t batch = transport_.batch();
    for (size_t from = 0; from < keys.size(); from += batch) {
      const std::span<const CacheKey> some =
          std::span(keys).subspan(from, std::min(batch, keys.size() - from));
      Watchdog dog(stop_, options_.patience);
      auto entries = transport_.lookup(some, dog.token());
      // A directory that is not there yet has nothing.
      if (!entries && entries.error().code() == Code::kNotFound) return {};
      if (!entries) return tl::unexpected(entries.error());
      for (size_t i = 0; i < some.size() && i < entries->size(); ++i) {
        if (!(*entries)[i] || !cache::decode_entry(some[i], *(*entries)[i])) continue;
        candidates_.erase(some[i]);
        aliases_.erase(some[i]);
      }
    }
    return {};
  }

  // ---- layers and entries

  Status make_publications() {
    for (auto& [key, candidate] : candidates_) {
      if (stop_.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
      KILN_TRY_ASSIGN(const bool whole, add_layers(candidate));
      if (!whole) continue;
      cache::Publication publication{key, {}, {}};
      for (const oci::LayerBlob& layer : candidate.result.layers) {
        publication.blobs.push_back(layer.descriptor);
        blobs_.insert_or_assign(layer.descriptor.digest, layer.descriptor);
      }
      publication.entry =
          cache::encode_entry(cache::ResultEntry{candidate.record, std::move(candidate.result)});
      add(std::move(publication));
    }
    for (const auto& [key, alias] : aliases_)
      add({key, cache::encode_entry(cache::AliasEntry{alias.first, alias.second}), {}});
    return {};
  }

  // What nobody would read is not written.
  void add(cache::Publication publication) {
    if (publication.entry.size() <= cache::kMaxEntryBytes)
      publications_.push_back(std::move(publication));
  }

  /// False: the result is gone, which is its own affair.
  Result<bool> add_layers(Candidate& candidate) {
    CacheResult& result = candidate.result;
    if (result.empty_tree) return true;
    std::optional<SnapshotId> id;
    if (!result.local_ref.empty()) {
      id = SnapshotId{result.local_ref};
    } else if (candidate.ref) {
      KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*candidate.ref));
      KILN_TRY_ASSIGN(id, tree->snapshot(stop_));
    }
    if (!id) return false;
    KILN_TRY_ASSIGN(const bool present, context_.snapshots.touch(*id, context_.lease));
    if (!present) return false;
    KILN_TRY_ASSIGN(const std::vector<SnapshotId> chain, context_.snapshots.chain(*id));
    result.layers.clear();
    result.layer_times.clear();
    for (const SnapshotId& link : chain) {
      KILN_TRY_ASSIGN(const Packed* packed, pack(link));
      result.layers.push_back(packed->blob);
      result.layer_times.push_back(packed->made);
    }
    return true;
  }

  struct Packed {
    oci::LayerBlob blob;
    std::chrono::sys_seconds made;
  };
  Result<const Packed*> pack(const SnapshotId& id) {
    const auto known = packed_.find(id.value);
    if (known != packed_.end()) return &known->second;
    KILN_TRY_ASSIGN(oci::LayerBlob blob,
                    context_.snapshots.layer_blob(id, options_.compression, context_.lease, stop_));
    KILN_TRY_ASSIGN(const SnapshotFacts facts, context_.snapshots.facts(id));
    const Packed packed{std::move(blob), std::chrono::floor<std::chrono::seconds>(facts.created)};
    return &packed_.emplace(id.value, packed).first->second;
  }

  // ---- transfer

  Status upload() {
    std::vector<oci::Descriptor> blobs;
    blobs.reserve(blobs_.size());
    for (const auto& [digest, blob] : blobs_) blobs.push_back(blob);
    return for_each_at_once(blobs.size(), kParallelUploads, [&](size_t i) {
      Watchdog dog(stop_, options_.patience);
      Status sent = transport_.upload(
          blobs[i], context_.content, [&] { dog.feed(); }, dog.token());
      return in_time(dog, std::move(sent));
    });
  }

  Status publish() {
    Watchdog dog(stop_, options_.patience + options_.patience);
    KILN_TRY(in_time(dog, transport_.publish(publications_, dog.token())));
    return transport_.finish(stop_);
  }

  static Status in_time(const Watchdog& dog, Status done) {
    if (done || !dog.expired()) return done;
    return fail(Code::kUnavailable, "it stood still for too long");
  }

  const llb::Graph& graph_;
  const Solution& solution_;
  cache::CacheTransport& transport_;
  const CacheExportOptions& options_;
  LocalCacheStore& records_;
  ExportContext& context_;
  const std::stop_token stop_;

  std::set<std::string> kept_;  // snapshots of the targets; kMin
  std::map<CacheKey, Candidate> candidates_;
  std::map<CacheKey, std::pair<KeyRecord, CacheKey>> aliases_;
  std::map<std::string, Packed> packed_;  // by snapshot
  std::map<Digest, oci::Descriptor> blobs_;
  std::vector<cache::Publication> publications_;
};

}  // namespace

Status export_cache(const llb::Graph& graph, const Solution& solution,
                    cache::CacheTransport& transport, const CacheExportOptions& options,
                    LocalCacheStore& records, ExportContext& context, std::stop_token stop) {
  ExportStep step("exporting cache to " + transport.name(), context.progress);
  Status done = step.watch(
      CacheExport(graph, solution, transport, options, records, context, stop).run(step));
  if (done) step.done();
  return done;
}

}  // namespace kiln
