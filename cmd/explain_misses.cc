#include "cmd/explain_misses.h"

#include <algorithm>
#include <memory>

#include "cache/explain.h"
#include "snapshotter/mount.h"
#include "snapshotter/tree_compare.h"

namespace kiln::cmd {
namespace {

constexpr size_t kCandidates = 100;
constexpr size_t kShownReasons = 10;
// Above it, a result that nobody has unpacked yet is not unpacked only to be looked into.
constexpr uint64_t kMostToUnpack = 64ULL << 20U;

/// Where a copying step put what it copied; empty: it copies nothing.
std::vector<std::string> destinations(const KeyRecord& record) {
  std::vector<std::string> found;
  for (const auto& [name, value] : record.op.fields)
    if (name == "dest" && std::find(found.begin(), found.end(), value) == found.end())
      found.push_back(value);
  return found;
}

// Only then what lies at its destination tells of its files, and not of what it builds on.
bool differs_in_content_alone(const KeyRecord& now, const KeyRecord& before) {
  if (now.op != before.op || now.inputs.size() != before.inputs.size()) return false;
  for (size_t i = 0; i < now.inputs.size(); ++i)
    if (now.inputs[i].kind == InputKey::Kind::kDefinition && now.inputs[i] != before.inputs[i])
      return false;
  return true;
}

class Explainer {
 public:
  explicit Explainer(ExplainWith with) : with_(std::move(with)) {}

  AfterMiss explain(const Miss& miss, JobContext& job) const {
    if (miss.stale) {
      tell(stale_reasons(miss), job);
      return {};
    }
    // What has no key is read in place, on each build: the build context.
    if (!miss.record) return {};
    const auto before = with_.cache.similar(miss.record->name, kCandidates);
    if (!before) return {};
    const KeyRecord* nearest = nearest_record(*miss.record, *before);
    if (nearest == nullptr) {
      tell({"no earlier result of this step is known here"}, job);
      return {};
    }
    const auto name_of = [this](const Digest& key) { return name_of_key(key); };
    auto reasons = differences(*miss.record, *nearest, miss.inputs, name_of);
    if (reasons.empty()) reasons.emplace_back("its earlier result is gone");
    tell(std::move(reasons), job);
    return compare_files(*miss.record, *nearest);
  }

 private:
  static std::vector<std::string> stale_reasons(const Miss& miss) {
    if (miss.ignores_cache) return {"it was asked to run anew (--no-cache, --no-cache-filter)"};
    for (const ExplainedInput& input : miss.inputs)
      if (input.ran) return {"it builds on " + input.name + ", which was asked to run anew"};
    return {"it builds on a step that was asked to run anew"};
  }

  static void tell(std::vector<std::string> reasons, JobContext& job) {
    if (reasons.empty()) return;
    if (reasons.size() > kShownReasons) {
      const size_t more = reasons.size() - kShownReasons;
      reasons.resize(kShownReasons);
      reasons.push_back("and for " + std::to_string(more) + " reasons more");
    }
    job.progress.on_event(CacheMiss{job.vertex, std::move(reasons)});
  }

  std::string name_of_key(const Digest& key) const {
    const auto record = with_.cache.record(CacheKey{key});
    return record && *record ? (*record)->name : std::string();
  }

  /// The files themselves are in the results, the earlier one's and the new one's.
  AfterMiss compare_files(const KeyRecord& now, const KeyRecord& nearest) const {
    std::vector<std::string> at = destinations(now);
    if (at.empty() || !differs_in_content_alone(now, nearest)) return {};
    const auto earlier = with_.cache.find(nearest.key());
    if (!earlier || !*earlier || (*earlier)->local_ref.empty()) return {};
    return [this, at = std::move(at), before = SnapshotId{(*earlier)->local_ref}](Ref& result,
                                                                                  JobContext& job) {
      const auto made = result.cache_result();
      if (!made || !*made || (*made)->local_ref.empty()) return;
      auto lines = file_changes({(*made)->local_ref}, before, at, job.stop);
      if (lines) tell(*std::move(lines), job);
    };
  }

  Result<std::vector<std::string>> file_changes(const SnapshotId& now, const SnapshotId& before,
                                                const std::vector<std::string>& at,
                                                const std::stop_token& stop) const {
    if (!is_cheap_to_open(now) || !is_cheap_to_open(before)) return std::vector<std::string>();
    KILN_TRY_ASSIGN(const auto view, with_.snapshots.view(now, stop));
    KILN_TRY_ASSIGN(const auto past_view, with_.snapshots.view(before, stop));
    KILN_TRY_ASSIGN(const MountedTree tree, MountedTree::open(view->mounts(), with_.scratch));
    KILN_TRY_ASSIGN(const MountedTree past, MountedTree::open(past_view->mounts(), with_.scratch));
    std::vector<TreeChange> changes;
    for (const std::string& destination : at) {
      KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(destination));
      KILN_TRY_ASSIGN(auto found, compare_trees(tree.root(), past.root(), path, {}, stop));
      std::move(found.begin(), found.end(), std::back_inserter(changes));
    }
    return describe_changes(changes);
  }

  bool is_cheap_to_open(const SnapshotId& id) const {
    const auto facts = with_.snapshots.facts(id);
    if (!facts) return false;
    return facts->has_directory ||
           std::any_of(facts->blobs.begin(), facts->blobs.end(), [](const oci::LayerBlob& blob) {
             return blob.descriptor.size <= kMostToUnpack;
           });
  }

  const ExplainWith with_;
};

}  // namespace

std::function<AfterMiss(const Miss&, JobContext&)> explain_misses(ExplainWith with) {
  const auto explainer = std::make_shared<Explainer>(std::move(with));
  return [explainer](const Miss& miss, JobContext& job) { return explainer->explain(miss, job); };
}

}  // namespace kiln::cmd
