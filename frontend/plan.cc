#include "frontend/plan.h"

#include <algorithm>

namespace kiln::frontend {

int Inputs::add(const Root& root) {
  if (!root) return llb::kNoIndex;
  const auto found = std::find(outputs_.begin(), outputs_.end(), *root);
  const auto index = static_cast<int>(found - outputs_.begin());
  if (found == outputs_.end()) outputs_.push_back(*root);
  return index;
}

llb::Output Plan::add(llb::Op op, std::vector<llb::Output> inputs, std::optional<Platform> platform,
                      llb::Meta meta) {
  for (const llb::Output& input : inputs) KILN_CHECK(input.vertex < vertices_.size());
  vertices_.push_back({std::move(op), std::move(inputs), std::move(platform), std::move(meta)});
  return {static_cast<llb::VertexId>(vertices_.size() - 1), 0};
}

llb::SourceOp& Plan::source(llb::VertexId id) {
  auto* source = std::get_if<llb::SourceOp>(&vertices_.at(id).op);
  KILN_CHECK(source != nullptr);
  return *source;
}

llb::Graph Plan::build(const Root& target, llb::SourceFile file) && {
  llb::GraphBuilder builder;
  builder.add_file(std::move(file));
  if (!target) return std::move(builder).build({});
  std::vector<bool> needed(vertices_.size(), false);
  needed[target->vertex] = true;
  for (size_t i = vertices_.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (const llb::Output& input : vertices_[i].inputs) needed[input.vertex] = true;
  }
  std::vector<llb::VertexId> ids(vertices_.size(), 0);
  for (size_t i = 0; i < vertices_.size(); ++i) {
    if (!needed[i]) continue;
    Vertex& vertex = vertices_[i];
    for (llb::Output& input : vertex.inputs) input.vertex = ids[input.vertex];
    ids[i] = builder
                 .add(std::move(vertex.op), std::move(vertex.inputs), std::move(vertex.platform),
                      std::move(vertex.meta))
                 .vertex;
  }
  return std::move(builder).build({{ids[target->vertex], target->index}});
}

}  // namespace kiln::frontend
