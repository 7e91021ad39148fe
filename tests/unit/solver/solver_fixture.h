// A solver over fake operations and a fake store.
#pragma once

#include <gtest/gtest.h>

#include <latch>
#include <set>
#include <string>
#include <vector>

#include "solver/solver.h"
#include "tests/fakes/fake_cache_store.h"
#include "tests/fakes/fake_operations.h"

namespace kiln {

class SolverFixture : public testing::Test {
 protected:
  using Names = std::vector<std::string>;

  Result<Solution> solve(const llb::Graph& graph, const std::stop_token& stop = {}) {
    sink_ = std::make_unique<fake::RecordingSink>(graph);
    return Solver({ops_.factory(), ops_.loader(), &workers_}).solve(graph, options_, *sink_, stop);
  }
  /// The text of the first target, or the error.
  std::string text(const llb::Graph& graph) {
    const auto solution = solve(graph);
    if (!solution) return solution.error().to_string();
    return fake::text_of(solution->targets.front());
  }
  /// Which steps executed when the graph was solved.
  Names executed(const llb::Graph& graph) {
    ops_.forget_counts();
    const auto solution = solve(graph);
    EXPECT_TRUE(solution) << solution.error().to_string();
    return ops_.executed();
  }

  fake::FakeOperations ops_;
  fake::FakeCacheStore store_;
  SolveOptions options_{0, {&store_}};
  std::unique_ptr<fake::RecordingSink> sink_;
  WorkerPool workers_{64};
};

}  // namespace kiln
