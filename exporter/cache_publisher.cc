#include "exporter/cache_publisher.h"

#include <algorithm>

#include "base/parallel.h"
#include "cache/entry.h"
#include "solver/ops/tree_ref.h"

namespace kiln {
namespace {

constexpr size_t kParallelUploads = 4;

}  // namespace

Status CachePublisher::publish(std::span<const SolvedEdge> edges, Remote remote) {
  candidates_.clear();
  aliases_.clear();
  blobs_.clear();
  publications_.clear();
  for (const SolvedEdge& edge : edges) {
    if (config_.stop.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
    KILN_TRY(collect(edge, remote));
  }
  if (candidates_.empty() && aliases_.empty()) return {};
  KILN_TRY(drop_present());
  KILN_TRY(make_publications());
  candidates_.clear();  // lets go of what they hold
  return send();
}

// ---- what there is

Status CachePublisher::collect(const SolvedEdge& edge, Remote remote) {
  if (!edge.key) return {};
  if (edge.alias && !known_.contains(edge.alias->key()))
    aliases_.insert_or_assign(edge.alias->key(), Alias{*edge.alias, *edge.key});
  if (known_.contains(*edge.key)) return {};
  std::optional<KeyRecord> record = edge.record;
  if (!record || record->key() != *edge.key) {
    KILN_TRY_ASSIGN(record, config_.records.record(*edge.key));
  }
  KILN_TRY_ASSIGN(std::optional<CacheResult> result, result_of(edge));
  const bool publishable =
      record && result &&
      (remote == Remote::kFetch || result->empty_tree || !result->local_ref.empty());
  if (publishable) {
    candidates_.insert_or_assign(*edge.key,
                                 Candidate{*std::move(record), *std::move(result), edge.ref});
  } else if (edge.alias) {
    aliases_.erase(edge.alias->key());  // it would lead nowhere
  }
  return {};
}

Result<std::optional<CacheResult>> CachePublisher::result_of(const SolvedEdge& edge) const {
  if (!edge.ref) return config_.records.find(*edge.key);
  KILN_TRY_ASSIGN(std::optional<CacheResult> result, edge.ref->cache_result());
  if (result && edge.created) result->created = *edge.created;
  return result;
}

// ---- what is missing there

Status CachePublisher::drop_present() {
  std::vector<CacheKey> keys;
  for (const auto& [key, candidate] : candidates_) keys.push_back(key);
  for (const auto& [key, alias] : aliases_) keys.push_back(key);
  const size_t batch = config_.transport.batch();
  for (size_t from = 0; from < keys.size(); from += batch) {
    const std::span<const CacheKey> some =
        std::span(keys).subspan(from, std::min(batch, keys.size() - from));
    const auto entries = config_.transport.lookup(some, config_.stop);
    // A directory that is not there yet has nothing.
    if (!entries && entries.error().code() == Code::kNotFound) return {};
    if (!entries) return tl::unexpected(entries.error());
    for (size_t i = 0; i < some.size() && i < entries->size(); ++i) {
      if (!(*entries)[i] || !cache::decode_entry(some[i], *(*entries)[i])) continue;
      known_.insert(some[i]);
      candidates_.erase(some[i]);
      aliases_.erase(some[i]);
    }
  }
  return {};
}

// ---- layers and entries

Status CachePublisher::make_publications() {
  for (auto& [key, candidate] : candidates_) {
    if (config_.stop.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
    KILN_TRY_ASSIGN(const bool whole, add_layers(candidate));
    if (!whole) continue;
    cache::Publication publication{key, {}, {}, false};
    for (const oci::LayerBlob& layer : candidate.result.layers) {
      publication.blobs.push_back(layer.descriptor);
      if (!sent_.contains(layer.descriptor.digest))
        blobs_.insert_or_assign(layer.descriptor.digest, layer.descriptor);
    }
    publication.entry =
        cache::encode_entry(cache::ResultEntry{candidate.record, std::move(candidate.result)});
    add(std::move(publication));
    ++steps_;
  }
  for (const auto& [key, alias] : aliases_)
    add({key, cache::encode_entry(cache::AliasEntry{alias.fast, alias.target}), {}});
  return {};
}

// What nobody would read is not written.
void CachePublisher::add(cache::Publication publication) {
  if (publication.entry.size() <= cache::kMaxEntryBytes)
    publications_.push_back(std::move(publication));
}

/// False: the result is gone, which is its own affair.
Result<bool> CachePublisher::add_layers(Candidate& candidate) {
  CacheResult& result = candidate.result;
  if (result.empty_tree) return true;
  std::optional<SnapshotId> id;
  if (!result.local_ref.empty()) {
    id = SnapshotId{result.local_ref};
  } else if (candidate.ref) {
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*candidate.ref));
    KILN_TRY_ASSIGN(id, tree->snapshot(config_.stop));
  }
  if (!id) return false;
  ExportContext& context = config_.context;
  KILN_TRY_ASSIGN(const bool present, context.snapshots.touch(*id, context.lease));
  if (!present) return false;
  KILN_TRY_ASSIGN(const std::vector<SnapshotId> chain, context.snapshots.chain(*id));
  result.layers.clear();
  result.layer_times.clear();
  for (const SnapshotId& link : chain) {
    KILN_TRY_ASSIGN(const Packed* packed, pack(link));
    result.layers.push_back(packed->blob);
    result.layer_times.push_back(packed->made);
  }
  return true;
}

Result<const CachePublisher::Packed*> CachePublisher::pack(const SnapshotId& id) {
  const auto known = packed_.find(id.value);
  if (known != packed_.end()) return &known->second;
  ExportContext& context = config_.context;
  KILN_TRY_ASSIGN(oci::LayerBlob blob, context.snapshots.layer_blob(id, config_.compression,
                                                                    context.lease, config_.stop));
  KILN_TRY_ASSIGN(const SnapshotFacts facts, context.snapshots.facts(id));
  const Packed packed{std::move(blob), std::chrono::floor<std::chrono::seconds>(facts.created)};
  return &packed_.emplace(id.value, packed).first->second;
}

// ---- transfer

Status CachePublisher::send() {
  std::vector<oci::Descriptor> blobs;
  for (const auto& [digest, blob] : blobs_) blobs.push_back(blob);
  KILN_TRY(upload(blobs));
  KILN_TRY(config_.transport.publish(publications_, config_.stop));
  for (const oci::Descriptor& blob : blobs) sent_.insert(blob.digest);
  for (const cache::Publication& publication : publications_) known_.insert(publication.key);
  return {};
}

Status CachePublisher::upload(const std::vector<oci::Descriptor>& blobs) {
  return for_each_at_once(blobs.size(), kParallelUploads, [&](size_t i) {
    return config_.transport.upload(oci::blob_content(config_.context.content, blobs[i]),
                                    config_.stop);
  });
}

}  // namespace kiln
