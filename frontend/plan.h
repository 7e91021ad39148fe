// The graph while it is being converted. A vertex's digest is known only when all of it is, and the
// build context's vertex lists the paths that the whole Dockerfile reads: so vertices are numbered
// here first, and become an llb::Graph at the end.
#pragma once

#include "llb/graph.h"

#include <optional>
#include <utility>
#include <vector>

namespace kiln::frontend {

/// A file system: an output of a vertex of the plan, or nothing at all (scratch).
using Root = std::optional<llb::Output>;

/// The inputs of one vertex, each once, in the order of first use.
class Inputs {
 public:
  /// Its index; llb::kNoIndex for scratch.
  int add(const Root& root);
  size_t count() const { return outputs_.size(); }
  std::vector<llb::Output> take() { return std::move(outputs_); }

 private:
  std::vector<llb::Output> outputs_;
};

class Plan {
 public:
  /// `inputs` are outputs of this plan.
  llb::Output add(llb::Op op, std::vector<llb::Output> inputs, std::optional<Platform> platform,
                  llb::Meta meta);
  /// May change until build(). KILN_CHECKs that it is a source.
  llb::SourceOp& source(llb::VertexId id);
  const llb::Op& op(llb::VertexId id) const { return vertices_.at(id).op; }
  /// Only what `target` needs; no target for scratch.
  llb::Graph build(const Root& target, llb::SourceFile file) &&;

 private:
  struct Vertex {
    llb::Op op;
    std::vector<llb::Output> inputs;
    std::optional<Platform> platform;
    llb::Meta meta;
  };
  std::vector<Vertex> vertices_;  // inputs first
};

}  // namespace kiln::frontend
