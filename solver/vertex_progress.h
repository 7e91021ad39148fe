// What a solve tells of its vertices: each is added once, started before it ends, and ends at most
// once, unless it has to be made although a hit had shown it unneeded. Loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/progress.h"
#include "llb/graph.h"

namespace kiln {

class VertexProgress {
 public:
  VertexProgress(const llb::Graph& graph, ProgressSink& sink);
  void add_all();  // in topological order
  void start(llb::VertexId vertex);
  void start_execution(llb::VertexId vertex);
  void end(llb::VertexId vertex, VertexOutcome outcome, std::optional<Error> error = {});
  bool ended(llb::VertexId vertex) const { return phases_[vertex] == Phase::kEnded; }
  bool executing(llb::VertexId vertex) const { return phases_[vertex] == Phase::kExecuting; }
  /// A solved graph: what never executed was cached or below something cached.
  void end_solved();
  /// A failed or cancelled one: what has started was cancelled.
  void end_stopped();

 private:
  enum class Phase : uint8_t { kAdded, kStarted, kExecuting, kEnded };
  const llb::Graph& graph_;
  ProgressSink& sink_;
  std::vector<Phase> phases_;
};

}  // namespace kiln
