// The build graph: immutable, every input before its user, equal vertices once. Cycles cannot be
// expressed.
#pragma once

#include "llb/op.h"

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace kiln::llb {

class Graph {
 public:
  std::span<const Vertex> vertices() const { return vertices_; }  // topological: inputs first
  std::span<const Output> targets() const { return targets_; }
  std::span<const SourceFile> files() const { return files_; }
  const Vertex& vertex(VertexId id) const { return vertices_.at(id); }

 private:
  friend class GraphBuilder;
  std::vector<Vertex> vertices_;
  std::vector<Output> targets_;
  std::vector<SourceFile> files_;
};

class GraphBuilder {
 public:
  /// An equal vertex (same digest) is returned, not doubled: the first one's metadata stays, but
  /// ignore_cache is or-ed and source ranges are joined. KILN_CHECKs that inputs exist.
  Output add(Op op, std::vector<Output> inputs, std::optional<Platform> platform, Meta meta);
  /// As add(), for a vertex whose op bytes came from elsewhere: its digest is kept as it is.
  Output add_received(Vertex vertex);
  void add_file(SourceFile file);
  const Vertex& vertex(VertexId id) const { return vertices_.at(id); }
  Vertex& mutable_vertex_meta(VertexId id) {
    return vertices_.at(id);
  }  // meta only: the digest must stay
  /// Drops what no target needs and renumbers. An empty target list gives an empty graph (the
  /// result is scratch).
  Graph build(std::vector<Output> targets) &&;

 private:
  std::vector<Vertex> vertices_;
  std::unordered_map<Digest, VertexId> by_digest_;
  std::vector<SourceFile> files_;
};

/// The graphs of one file for several platforms as one: the targets of all, in order. Vertices that
/// several of them have are there once, under the first one's name.
Graph join_graphs(const std::vector<Graph>& graphs);

}  // namespace kiln::llb
