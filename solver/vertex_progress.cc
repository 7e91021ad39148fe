#include "solver/vertex_progress.h"

#include <utility>

namespace kiln {

VertexProgress::VertexProgress(const llb::Graph& graph, ProgressSink& sink)
    : graph_(graph), sink_(sink), phases_(graph.vertices().size(), Phase::kAdded) {}

void VertexProgress::add_all() {
  for (const llb::Vertex& vertex : graph_.vertices()) {
    VertexAdded event{vertex.digest, vertex.meta.name, {}};
    event.inputs.reserve(vertex.inputs.size());
    for (const llb::Output& input : vertex.inputs)
      event.inputs.push_back(graph_.vertex(input.vertex).digest);
    sink_.on_event(event);
  }
}

void VertexProgress::start(llb::VertexId vertex) {
  if (phases_[vertex] != Phase::kAdded) return;
  phases_[vertex] = Phase::kStarted;
  sink_.on_event(VertexStarted{graph_.vertex(vertex).digest, graph_.vertex(vertex).meta.name});
}

void VertexProgress::start_execution(llb::VertexId vertex) {
  if (ended(vertex)) phases_[vertex] = Phase::kAdded;
  start(vertex);
  phases_[vertex] = Phase::kExecuting;
}

void VertexProgress::end(llb::VertexId vertex, VertexOutcome outcome, std::optional<Error> error) {
  if (ended(vertex)) return;
  start(vertex);
  phases_[vertex] = Phase::kEnded;
  sink_.on_event(VertexDone{graph_.vertex(vertex).digest, outcome, std::move(error)});
}

void VertexProgress::end_solved() {
  for (llb::VertexId v = 0; v < phases_.size(); ++v)
    end(v, phases_[v] == Phase::kExecuting ? VertexOutcome::kCancelled : VertexOutcome::kCached);
}

void VertexProgress::end_stopped() {
  for (llb::VertexId v = 0; v < phases_.size(); ++v)
    if (phases_[v] != Phase::kAdded) end(v, VertexOutcome::kCancelled);
}

}  // namespace kiln
