#include "exporter/cache_export.h"

#include <utility>

#include "exporter/step.h"

namespace kiln {
namespace {

// Which inputs' layers are in a vertex's output, below its own.
std::vector<int> base_inputs(const llb::ExecOp& op, uint32_t output, size_t /*inputs*/) {
  for (const llb::ExecMount& mount : op.mounts)
    if (mount.output >= 0 && static_cast<uint32_t>(mount.output) == output) return {mount.input};
  return {};
}
std::vector<int> base_inputs(const llb::FileOp& op, uint32_t output, size_t inputs) {
  for (const llb::FileAction& action : op.actions) {
    if (action.output < 0 || static_cast<uint32_t>(action.output) != output) continue;
    int base = action.input;
    while (base >= 0 && static_cast<size_t>(base) >= inputs) {
      const size_t earlier = static_cast<size_t>(base) - inputs;
      base = earlier < op.actions.size() ? op.actions[earlier].input : llb::kNoIndex;
    }
    return {base};
  }
  return {};
}
std::vector<int> base_inputs(const llb::MergeOp& /*op*/, uint32_t /*output*/, size_t inputs) {
  std::vector<int> all;
  for (size_t i = 0; i < inputs; ++i) all.push_back(static_cast<int>(i));
  return all;
}
template <class Op>
std::vector<int> base_inputs(const Op& /*op*/, uint32_t /*output*/, size_t /*inputs*/) {
  return {};
}

}  // namespace

std::set<llb::Output> image_chain(const llb::Graph& graph) {
  std::set<llb::Output> chain;
  std::vector<llb::Output> open(graph.targets().begin(), graph.targets().end());
  while (!open.empty()) {
    const llb::Output output = open.back();
    open.pop_back();
    if (!chain.insert(output).second) continue;
    const llb::Vertex& vertex = graph.vertex(output.vertex);
    const std::vector<int> bases = std::visit(
        [&](const auto& op) { return base_inputs(op, output.index, vertex.inputs.size()); },
        vertex.op);
    for (const int base : bases)
      if (base >= 0 && static_cast<size_t>(base) < vertex.inputs.size())
        open.push_back(vertex.inputs[static_cast<size_t>(base)]);
  }
  return chain;
}

CacheExport::CacheExport(const Inputs& inputs, const CacheExportOptions& options)
    : inputs_(inputs),
      options_(options),
      image_chain_(options.mode == CacheMode::kMin ? image_chain(inputs.graph)
                                                   : std::set<llb::Output>{}),
      chained_(inputs.stop, [this] { abandon_.request_stop(); }),
      context_(inputs.context),
      publisher_({inputs.transport, options.compression, inputs.records, context_,
                  abandon_.get_token()}) {}

CacheExport::~CacheExport() {
  abandon_.request_stop();
  {
    const std::lock_guard hold(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool CacheExport::belongs(const SolvedEdge& edge) const {
  if (!edge.key) return false;
  if (std::holds_alternative<llb::SourceOp>(inputs_.graph.vertex(edge.edge.vertex).op))
    return false;
  return options_.mode == CacheMode::kMax || image_chain_.contains(edge.edge);
}

void CacheExport::offer(const SolvedEdge& edge) {
  if (!belongs(edge)) return;
  const std::lock_guard hold(mutex_);
  if (!outcome_) return;
  queue_.push_back(edge);
  start();
}

bool CacheExport::lost() {
  const std::lock_guard hold(mutex_);
  return !outcome_;
}

void CacheExport::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_all();
}

Status CacheExport::finish(const Solution* solution) {
  ExportStep step("exporting cache to " + inputs_.transport.name(), context_.progress);
  {
    const std::lock_guard hold(mutex_);
    closing_ = true;
    solution_ = solution;
    start();
  }
  using Wait = CacheExportOptions::Wait;
  if (options_.wait == Wait::kNo) abandon_.request_stop();
  if (options_.wait == Wait::kInReason) inputs_.transport.build_waits();
  thread_.join();
  step.log("sent " + std::to_string(publisher_.layers()) + " layers of " +
           std::to_string(publisher_.steps()) + " steps\n");
  Status outcome = std::exchange(outcome_, {});
  const bool abandoned = !outcome && options_.wait == Wait::kNo &&
                         outcome.error().code() == Code::kCancelled &&
                         !inputs_.stop.stop_requested();
  if (abandoned) outcome = {};
  outcome = step.watch(std::move(outcome));
  if (outcome) step.done();
  return outcome;
}

// The thread. What was offered meanwhile goes together.
void CacheExport::work() {
  std::unique_lock hold(mutex_);
  while (true) {
    changed_.wait(hold, [&] { return closing_ || !queue_.empty(); });
    const bool last = closing_;
    const Solution* const solution = solution_;
    std::vector<SolvedEdge> edges = std::exchange(queue_, {});
    hold.unlock();
    Status done = work_off(std::move(edges), last ? solution : nullptr);
    if (done && last) done = inputs_.transport.finish(abandon_.get_token());
    hold.lock();
    if (!done) outcome_ = std::move(done);
    if (!outcome_ || last) break;
  }
}

Status CacheExport::work_off(std::vector<SolvedEdge> edges, const Solution* solution) {
  KILN_TRY(publisher_.publish(edges, CachePublisher::Remote::kSkip));
  return solution == nullptr ? Status{} : publish_rest(*solution);
}

Status CacheExport::publish_rest(const Solution& solution) {
  std::vector<SolvedEdge> edges;
  for (const SolvedEdge& edge : solution.edges)
    if (belongs(edge)) edges.push_back(edge);
  return publisher_.publish(edges, CachePublisher::Remote::kFetch);
}

}  // namespace kiln
