// Solves a graph: finds or makes the targets' results with as little work as possible (docs: LLB.md
// C.2, ARCHITECTURE.md 5).
//
// Keys. An edge is a vertex's output. Its canonical key is over the op's fields and, for each
// input, the input's canonical key with its selector, or the digest of the selected content where
// the op asks for that (by_content). For an op with by_content inputs a definition key (all inputs
// by key) is looked up first as an alias of the canonical one; inputs of uncacheable ops have no
// key and always need content. Early cut-off follows: equal content gives an equal key, whatever
// happened above.
//
// Order. Demand comes from the targets: keys first, then a lookup; a hit skips all below. Only on a
// miss are the inputs' results demanded, and the op executed under the key's lock (so that
// concurrent processes on one root do it once). ignore_cache: executed without lookup, also every
// user of such an edge that takes it by definition; results replace records.
//
// Threads. One loop (the calling thread) owns all edges; actions run on the worker pool;
// `max_parallel` bounds executing vertices only. The first failure stops the rest; solve() returns
// when everything has ended.
#pragma once

#include "base/workers.h"
#include "cache/explain.h"
#include "solver/operation.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kiln {

struct SolverConfig {
  OpFactory ops;
  ResultLoader load;
  WorkerPool* workers = nullptr;
};
enum class EdgeSource : uint8_t { kNotNeeded, kCached, kExecuted };
struct SolvedEdge {
  llb::Output edge;
  EdgeSource source = EdgeSource::kNotNeeded;
  std::optional<CacheKey> key;  // canonical; nullopt: not cacheable
  std::optional<KeyRecord>
      record;  // what cache export and explaining walk; nullopt if an alias gave the key
  std::optional<KeyRecord> alias;  // what an alias of `key` is saved under
  RefPtr ref;                      // null unless it was needed
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>>
      created;  // of the cached or fresh result
};
/// A step that is about to execute although there are caches.
struct Miss {
  std::optional<KeyRecord> record;  // nullopt: it has no key
  bool ignores_cache = false;       // it was asked to
  bool stale = false;  // so, or a step that it builds on was: its result must be of this build
  std::vector<ExplainedInput> inputs;
};
/// Called with the result (of output 0) of what was missed, when it is saved; may be empty.
using AfterMiss = std::function<void(Ref& result, JobContext& job)>;
struct SolveOptions {
  size_t max_parallel = 0;  // executing vertices; 0: 64
  std::vector<CacheStore*>
      caches;  // in lookup order; the first is the local one: results are saved there
  /// Told of each edge as soon as its result is there, on the loop's thread. Must not block.
  std::function<void(const SolvedEdge&)> on_solved = {};
  /// Told of each execution before it begins, on its worker.
  std::function<AfterMiss(const Miss&, JobContext&)> on_miss = {};
};
struct Solution {
  std::vector<RefPtr> targets;    // in the graph's order
  std::vector<SolvedEdge> edges;  // those that were touched, topological
};

class Solver {
 public:
  explicit Solver(SolverConfig config);
  /// The error is the first failing vertex's, wrapped with its name and at its source range.
  /// Blocks. kCancelled: `stop`.
  Result<Solution> solve(const llb::Graph& graph, const SolveOptions& options,
                         ProgressSink& progress, std::stop_token stop);

 private:
  SolverConfig config_;
};

}  // namespace kiln
