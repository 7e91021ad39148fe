// A graph for people: JSON (one array of vertices) and Graphviz DOT.
#pragma once

#include "llb/graph.h"

#include <string>

namespace kiln::llb {

/// As `buildctl debug dump-llb` prints: one object per vertex {"Op":…,"Digest":…,"OpMetadata":…},
/// in definition order.
std::string dump_json(const Graph& graph);
std::string dump_dot(const Graph& graph);

}  // namespace kiln::llb
