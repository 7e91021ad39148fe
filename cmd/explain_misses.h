// `kiln build --explain`: why each step that runs was not found in a cache, as progress.
#pragma once

#include <functional>
#include <string>

#include "cache/local_store.h"
#include "snapshotter/snapshotter.h"
#include "solver/solver.h"

namespace kiln::cmd {

struct ExplainWith {
  LocalCacheStore& cache;
  Snapshotter& snapshots;
  std::string scratch;
};

/// For SolveOptions::on_miss; what `with` refers to must outlive it. Never fails a build: what
/// cannot be read explains nothing.
std::function<AfterMiss(const Miss&, JobContext&)> explain_misses(ExplainWith with);

}  // namespace kiln::cmd
