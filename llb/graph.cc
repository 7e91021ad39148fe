#include "llb/graph.h"

#include "llb/codec.h"

#include <algorithm>
#include <utility>

namespace kiln::llb {
namespace {

constexpr VertexId kUnused = UINT32_MAX;

/// Marks what `targets` need. Inputs precede users, so one pass from the end suffices.
std::vector<bool> reachable(const std::vector<Vertex>& vertices,
                            const std::vector<Output>& targets) {
  std::vector<bool> needed(vertices.size(), false);
  for (const Output& target : targets) needed.at(target.vertex) = true;
  for (size_t i = vertices.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const Output& input : vertices[i].inputs) needed[input.vertex] = true;
  }
  return needed;
}

void join_meta(Meta& kept, Meta&& added) {
  kept.ignore_cache = kept.ignore_cache || added.ignore_cache;
  for (SourceRange& range : added.where) {
    if (std::find(kept.where.begin(), kept.where.end(), range) == kept.where.end()) {
      kept.where.push_back(std::move(range));
    }
  }
}

}  // namespace

Output GraphBuilder::add(Op op, std::vector<Output> inputs, std::optional<Platform> platform,
                         Meta meta) {
  std::vector<InputDigest> digests;
  digests.reserve(inputs.size());
  for (const Output& input : inputs) {
    KILN_CHECK(input.vertex < vertices_.size());
    digests.push_back({vertices_[input.vertex].digest, input.index});
  }
  const Digest digest = Digest::of(marshal_op(op, digests, platform));
  return add_received(
      Vertex{std::move(op), std::move(inputs), std::move(platform), digest, std::move(meta)});
}

Output GraphBuilder::add_received(Vertex vertex) {
  for (const Output& input : vertex.inputs) KILN_CHECK(input.vertex < vertices_.size());
  const auto id = static_cast<VertexId>(vertices_.size());
  auto [place, inserted] = by_digest_.emplace(vertex.digest, id);
  if (inserted) {
    vertices_.push_back(std::move(vertex));
  } else {
    join_meta(vertices_[place->second].meta, std::move(vertex.meta));
  }
  return Output{place->second, 0};
}

void GraphBuilder::add_file(SourceFile file) {
  files_.push_back(std::move(file));
}

Graph GraphBuilder::build(std::vector<Output> targets) && {
  const std::vector<bool> needed = reachable(vertices_, targets);
  Graph graph;
  std::vector<VertexId> renumbered(vertices_.size(), kUnused);
  for (size_t i = 0; i < vertices_.size(); ++i) {
    if (!needed[i]) continue;
    renumbered[i] = static_cast<VertexId>(graph.vertices_.size());
    Vertex& vertex = graph.vertices_.emplace_back(std::move(vertices_[i]));
    for (Output& input : vertex.inputs) input.vertex = renumbered[input.vertex];
  }
  for (Output& target : targets) target.vertex = renumbered[target.vertex];
  graph.targets_ = std::move(targets);
  graph.files_ = std::move(files_);
  return graph;
}

Graph join_graphs(const std::vector<Graph>& graphs) {
  GraphBuilder all;
  std::vector<Output> targets;
  std::vector<std::string> files;
  for (const Graph& graph : graphs) {
    std::vector<VertexId> ids;
    for (Vertex vertex : graph.vertices()) {
      for (Output& input : vertex.inputs) input.vertex = ids.at(input.vertex);
      ids.push_back(all.add_received(std::move(vertex)).vertex);
    }
    for (const Output& target : graph.targets())
      targets.push_back({ids.at(target.vertex), target.index});
    for (const SourceFile& file : graph.files()) {
      if (std::find(files.begin(), files.end(), file.filename) != files.end()) continue;
      files.push_back(file.filename);
      all.add_file(file);
    }
  }
  return std::move(all).build(std::move(targets));
}

}  // namespace kiln::llb
