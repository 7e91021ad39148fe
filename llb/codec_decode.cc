#include "llb/codec.h"
#include "llb/codec_decode_op.h"
#include "llb/codec_names.h"
#include "ops.pb.h"

#include "base/strings.h"

#include <google/protobuf/stubs/logging.h>

#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kiln::llb {
namespace {

constexpr size_t kMaxBytes = 64U << 20U;
constexpr int kMaxVertices = 100'000;

struct Entry {
  DecodedOp decoded;
  Digest digest;
};

/// How many outputs an op has: what an edge may ask for.
struct OutputCount {
  size_t operator()(const SourceOp&) const { return 1; }
  size_t operator()(const MergeOp&) const { return 1; }
  size_t operator()(const DiffOp&) const { return 1; }
  size_t operator()(const ExecOp& op) const {
    size_t count = 0;
    for (const ExecMount& mount : op.mounts) count += mount.output != kNoIndex ? 1 : 0;
    return count;
  }
  size_t operator()(const FileOp& op) const {
    size_t count = 0;
    for (const FileAction& action : op.actions) count += action.output != kNoIndex ? 1 : 0;
    return count;
  }
};

/// Entries may come in any order. The walk keeps its own stack: depth is the sender's choice.
class Sorter {
 public:
  explicit Sorter(const std::vector<Entry>& entries) : entries_(entries) {
    for (size_t i = 0; i < entries.size(); ++i) index_.emplace(entries[i].digest, i);
  }

  /// All entries, inputs first, otherwise as they came.
  Result<std::vector<size_t>> sorted() {
    marks_.assign(entries_.size(), Mark::kNew);
    for (size_t i = 0; i < entries_.size(); ++i) {
      open(i);
      while (!stack_.empty()) KILN_TRY(advance());
    }
    return std::move(order_);
  }

 private:
  enum class Mark : uint8_t { kNew, kOpen, kDone };
  struct Frame {
    size_t entry, next_input;
  };

  Result<size_t> find(const Digest& digest) const {
    auto found = index_.find(digest);
    if (found == index_.end()) {
      return fail(Code::kInvalidArgument,
                  "input " + digest.to_string() + " is not in the definition");
    }
    return found->second;
  }

  Status advance() {
    Frame& top = stack_.back();
    const auto& inputs = entries_[top.entry].decoded.inputs;
    if (top.next_input == inputs.size()) {
      marks_[top.entry] = Mark::kDone;
      order_.push_back(top.entry);
      stack_.pop_back();
      return {};
    }
    const DecodedInput& input = inputs[top.next_input++];
    KILN_TRY_ASSIGN(const size_t next, find(input.digest));
    KILN_TRY(check(next, input.index));
    if (marks_[next] == Mark::kOpen) return fail(Code::kInvalidArgument, "the graph has a cycle");
    open(next);
    return {};
  }

  void open(size_t entry) {
    if (marks_[entry] != Mark::kNew) return;
    marks_[entry] = Mark::kOpen;
    stack_.push_back({entry, 0});
  }

  Status check(size_t entry, uint32_t output) const {
    const auto& op = entries_[entry].decoded.op;
    if (!op) return fail(Code::kInvalidArgument, "an input names an entry without an op");
    if (output >= std::visit(OutputCount{}, *op)) {
      return fail(Code::kInvalidArgument, "output " + std::to_string(output) + " of " +
                                              entries_[entry].digest.to_string() +
                                              " does not exist");
    }
    return {};
  }

  const std::vector<Entry>& entries_;
  std::unordered_map<Digest, size_t> index_;
  std::vector<Mark> marks_;
  std::vector<Frame> stack_;
  std::vector<size_t> order_;
};

Result<std::vector<Entry>> decode_entries(const pb::Definition& in) {
  if (in.def_size() < 2) {
    return fail(Code::kInvalidArgument, "a definition has at least two entries, this one has " +
                                            std::to_string(in.def_size()));
  }
  if (in.def_size() > kMaxVertices + 1) {
    return fail(Code::kInvalidArgument, "more than 100000 vertices");
  }
  std::vector<Entry> entries;
  entries.reserve(static_cast<size_t>(in.def_size()));
  for (const std::string& bytes : in.def()) {
    Result<DecodedOp> decoded = decode_op(bytes);
    if (!decoded) {
      return tl::unexpected(decoded.error().wrap("entry " + std::to_string(entries.size())));
    }
    entries.push_back({*std::move(decoded), Digest::of(bytes)});
  }
  return entries;
}

Result<DecodedInput> terminal_input(const std::vector<Entry>& entries) {
  const DecodedOp& last = entries.back().decoded;
  if (last.op || last.inputs.size() != 1) {
    return fail(Code::kInvalidArgument, "the last entry must have one input and no op");
  }
  return last.inputs.front();
}

Resources decode_resources(const pb::LinuxResources& in) {
  Resources out;
  out.memory_bytes = in.memory();
  out.memory_swap_bytes = in.memory_swap();
  out.cpu_shares = in.cpu_shares() > 0 ? static_cast<uint64_t>(in.cpu_shares()) : 0;
  out.cpu_period_us = in.cpu_period() > 0 ? static_cast<uint64_t>(in.cpu_period()) : 0;
  out.cpu_quota_us = in.cpu_quota();
  out.cpuset_cpus = in.cpuset_cpus();
  out.cpuset_mems = in.cpuset_mems();
  return out;
}

/// Metadata acts on no result, so what kiln does not know in it is skipped.
Meta decode_meta(const pb::OpMetadata& in) {
  Meta meta;
  meta.ignore_cache = in.ignore_cache();
  meta.description.insert(in.description().begin(), in.description().end());
  if (auto name = meta.description.extract(kNameKey)) meta.name = std::move(name.mapped());
  if (in.has_linux_resources()) meta.resources = decode_resources(in.linux_resources());
  if (auto shm = meta.description.extract(kShmKey)) {
    const Result<int64_t> bytes = parse_int(shm.mapped());
    if (bytes && *bytes > 0) {
      if (!meta.resources) meta.resources.emplace();
      meta.resources->shm_bytes = static_cast<uint64_t>(*bytes);
    }
  }
  return meta;
}

Result<std::vector<SourceRange>> decode_ranges(const pb::Source& in, const std::string& digest) {
  std::vector<SourceRange> out;
  auto found = in.locations().find(digest);
  if (found == in.locations().end()) return out;
  for (const pb::Location& location : found->second.locations()) {
    if (location.sourceindex() < 0 || location.sourceindex() >= in.infos_size()) {
      return fail(Code::kInvalidArgument, "the source map names file " +
                                              std::to_string(location.sourceindex()) + " of " +
                                              std::to_string(in.infos_size()));
    }
    for (const pb::Range& range : location.ranges()) {
      out.push_back(
          {in.infos(location.sourceindex()).filename(), range.start().line(), range.end().line()});
    }
  }
  return out;
}

Result<Vertex> decode_vertex(const pb::Definition& in, Entry& entry,
                             const std::unordered_map<Digest, VertexId>& ids) {
  const std::string key = entry.digest.to_string();
  Vertex vertex{
      *std::move(entry.decoded.op), {}, std::move(entry.decoded.platform), entry.digest, {}};
  for (const DecodedInput& input : entry.decoded.inputs) {
    vertex.inputs.push_back({ids.at(input.digest), input.index});
  }
  auto meta = in.metadata().find(key);
  if (meta != in.metadata().end()) vertex.meta = decode_meta(meta->second);
  KILN_TRY_ASSIGN(vertex.meta.where, decode_ranges(in.source(), key));
  return vertex;
}

Result<Graph> decode_graph(const pb::Definition& in) {
  KILN_TRY_ASSIGN(std::vector<Entry> entries, decode_entries(in));
  KILN_TRY_ASSIGN(const DecodedInput target, terminal_input(entries));
  KILN_TRY_ASSIGN(const std::vector<size_t> order, Sorter(entries).sorted());
  GraphBuilder builder;
  std::unordered_map<Digest, VertexId> ids;
  for (size_t index : order) {
    if (!entries[index].decoded.op) continue;  // the terminal entry
    KILN_TRY_ASSIGN(Vertex vertex, decode_vertex(in, entries[index], ids));
    ids.emplace(entries[index].digest, builder.add_received(std::move(vertex)).vertex);
  }
  for (const pb::SourceInfo& info : in.source().infos()) {
    builder.add_file({info.filename(), info.data(), info.language()});
  }
  return std::move(builder).build({{ids.at(target.digest), target.index}});
}

}  // namespace

Result<Graph> unmarshal_definition(std::string_view bytes) {
  constexpr char kContext[] = "read LLB definition";
  if (bytes.size() > kMaxBytes) {
    return fail(Code::kInvalidArgument, std::string(kContext) + ": larger than 64 MiB");
  }
  const google::protobuf::LogSilencer quiet;  // what it would print goes into the Error
  pb::Definition message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(Code::kInvalidArgument,
                std::string(kContext) + ": not a protobuf pb.Definition, or cut short");
  }
  Result<Graph> graph = decode_graph(message);
  if (!graph) return tl::unexpected(graph.error().wrap(kContext));
  return graph;
}

}  // namespace kiln::llb
