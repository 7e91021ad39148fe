// A small graph with at least one of everything that the wire format carries.
#pragma once

#include "llb/graph.h"

namespace kiln::llb {

Graph sample_graph();

}  // namespace kiln::llb
