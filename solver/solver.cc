#include "solver/solver.h"

#include <utility>

#include "solver/loop.h"

namespace kiln {

Solver::Solver(SolverConfig config) : config_(std::move(config)) {
  KILN_CHECK(config_.workers != nullptr);
}

Result<Solution> Solver::solve(const llb::Graph& graph, const SolveOptions& options,
                               ProgressSink& progress, std::stop_token stop) {
  Loop loop(graph, config_, options, progress);
  return loop.run(stop);
}

}  // namespace kiln
