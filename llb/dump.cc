#include "llb/dump.h"

#include "base/json.h"
#include "base/strings.h"
#include "llb/caps.h"
#include "llb/dump_op.h"
#include "llb/validate.h"

#include <string_view>
#include <utility>

namespace kiln::llb {
namespace {

Json vertex_input_json(const Graph& graph, const Output& input) {
  Json out = Json::object();
  out.set("digest", graph.vertex(input.vertex).digest.to_string());
  out.set("index", uint64_t{input.index});
  return out;
}

Json inputs_json(const Graph& graph, std::span<const Output> inputs) {
  Json out = Json::array();
  for (const Output& input : inputs) out.push_back(vertex_input_json(graph, input));
  return out;
}

Json platform_json(const Platform& platform) {
  Json out = Json::object();
  out.set("Architecture", platform.architecture);
  out.set("OS", platform.os);
  if (!platform.variant.empty()) out.set("Variant", platform.variant);
  return out;
}

Json resources_json(const Resources& limits) {
  Json out = Json::object();
  const auto number = [&out](std::string_view key, int64_t value) {
    if (value != 0) out.set(key, value);
  };
  number("memory", limits.memory_bytes);
  number("memory_swap", limits.memory_swap_bytes);
  number("cpu_shares", static_cast<int64_t>(limits.cpu_shares));
  number("cpu_period", static_cast<int64_t>(limits.cpu_period_us));
  number("cpu_quota", limits.cpu_quota_us);
  if (!limits.cpuset_cpus.empty()) out.set("cpuset_cpus", limits.cpuset_cpus);
  if (!limits.cpuset_mems.empty()) out.set("cpuset_mems", limits.cpuset_mems);
  number("shm_bytes", static_cast<int64_t>(limits.shm_bytes));
  return out;
}

Json where_json(const std::vector<SourceRange>& ranges) {
  Json out = Json::array();
  for (const SourceRange& range : ranges) {
    Json entry = Json::object();
    entry.set("file", range.file);
    entry.set("start", range.first_line);
    entry.set("end", range.last_line);
    out.push_back(std::move(entry));
  }
  return out;
}

Json meta_json(const Vertex& vertex) {
  const Meta& meta = vertex.meta;
  Json out = Json::object();
  if (meta.ignore_cache) out.set("ignore_cache", true);
  Json description = Json::object();
  for (const auto& [key, value] : meta.description) description.set(key, value);
  if (!meta.name.empty()) description.set("llb.customname", meta.name);
  if (!description.members().empty()) out.set("description", std::move(description));
  Json caps = Json::object();
  for (const std::string& cap : capabilities(vertex.op, meta)) caps.set(cap, true);
  out.set("caps", std::move(caps));
  if (meta.resources) out.set("linux_resources", resources_json(*meta.resources));
  return out;
}

Json vertex_json(const Graph& graph, const Vertex& vertex) {
  Json op = Json::object();
  if (!vertex.inputs.empty()) op.set("inputs", inputs_json(graph, vertex.inputs));
  op.set("Op", op_json(vertex.op));
  if (vertex.platform) op.set("platform", platform_json(*vertex.platform));
  Json out = Json::object();
  out.set("Op", std::move(op));
  out.set("Digest", vertex.digest.to_string());
  out.set("OpMetadata", meta_json(vertex));
  if (!vertex.meta.where.empty()) out.set("Source", where_json(vertex.meta.where));
  return out;
}

std::string dot_quote(std::string_view text) {
  std::string out = "\"";
  for (char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string label(const Vertex& vertex) {
  if (!vertex.meta.name.empty()) return vertex.meta.name;
  if (const auto* source = std::get_if<SourceOp>(&vertex.op)) return source->identifier;
  if (const auto* exec = std::get_if<ExecOp>(&vertex.op)) return join(exec->meta.args, " ");
  return kind_name(vertex.op);
}

std::string_view shape(const Op& op) {
  if (std::holds_alternative<SourceOp>(op)) return "ellipse";
  if (std::holds_alternative<ExecOp>(op)) return "box";
  return "note";
}

std::string node(VertexId id) {
  return "v" + std::to_string(id);
}

}  // namespace

std::string dump_json(const Graph& graph) {
  Json out = Json::array();
  for (const Vertex& vertex : graph.vertices()) out.push_back(vertex_json(graph, vertex));
  if (!graph.targets().empty()) {
    Json op = Json::object();
    op.set("inputs", inputs_json(graph, graph.targets()));
    Json terminal = Json::object();
    terminal.set("Op", std::move(op));
    out.push_back(std::move(terminal));
  }
  return out.dump_pretty() + "\n";
}

std::string dump_dot(const Graph& graph) {
  std::string out = "digraph llb {\n";
  for (VertexId id = 0; id < graph.vertices().size(); ++id) {
    const Vertex& vertex = graph.vertex(id);
    out += "  " + node(id) + " [label=" + dot_quote(label(vertex)) +
           " shape=" + std::string(shape(vertex.op)) + "];\n";
  }
  for (VertexId id = 0; id < graph.vertices().size(); ++id) {
    for (const Output& input : graph.vertex(id).inputs) {
      out += "  " + node(input.vertex) + " -> " + node(id);
      if (input.index != 0) out += " [label=\"" + std::to_string(input.index) + "\"]";
      out += ";\n";
    }
  }
  for (const Output& target : graph.targets()) {
    out += "  " + node(target.vertex) + " -> result;\n";
  }
  return out + "}\n";
}

}  // namespace kiln::llb
