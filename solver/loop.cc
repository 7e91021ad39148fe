#include "solver/loop.h"

#include <algorithm>
#include <functional>

namespace kiln {
namespace {

constexpr size_t kDefaultParallel = 64;

}  // namespace

Loop::Loop(const llb::Graph& graph, const SolverConfig& config, const SolveOptions& options,
           ProgressSink& sink)
    : graph_(graph),
      on_solved_(options.on_solved),
      on_miss_(options.on_miss),
      tasks_(*config.workers),
      caches_(options.caches, config.load),
      progress_(graph, sink),
      jobs_({graph, config.ops, caches_,
             options.max_parallel == 0 ? kDefaultParallel : options.max_parallel, sink, progress_,
             tasks_, stop_.get_token()},
            *this),
      edges_(graph.vertices().size()),
      result_wanted_(graph.vertices().size()),
      shown_cached_(graph.vertices().size()) {}

Result<Solution> Loop::run(const std::stop_token& stop) {
  const std::stop_callback chained(stop, [this] {
    stop_.request_stop();
    tasks_.wake();
  });
  progress_.add_all();
  for (const llb::Output& target : graph_.targets()) {
    targets_.push_back(edge_of(target));
    want(targets_.back(), Demand::kResult);
  }
  for (;;) {
    pump();
    if (complete()) stop_.request_stop();  // what was begun early and is not needed
    jobs_.start_pending();
    if (tasks_.outstanding() == 0) break;
    tasks_.wait();
  }
  return outcome(stop.stop_requested());
}

EdgeId Loop::edge_of(llb::Output output) {
  for (const auto& [index, id] : edges_[output.vertex])
    if (index == output.index) return id;
  const llb::Vertex& vertex = graph_.vertex(output.vertex);
  const Freshness freshness = vertex.meta.ignore_cache ? Freshness::kStale : Freshness::kCacheable;
  const Edge::Spec spec{output.index, vertex.inputs.size(), freshness, vertex.meta.name};
  slots_.emplace_back(spec, output);
  edges_[output.vertex].emplace_back(output.index, slots_.size() - 1);
  return slots_.size() - 1;
}

void Loop::want(EdgeId edge, Demand demand) {
  Slot& slot = slots_[edge];
  if (slot.demand >= demand) return;
  slot.demand = demand;
  if (demand == Demand::kResult) result_wanted_[slot.output.vertex] = 1;
  events_.emplace_back(edge, Wanted{demand});
}

// A queue, not recursion: a chain of 10,000 vertices is as deep as it is long.
void Loop::pump() {
  while (!events_.empty() && !stop_.stop_requested()) {
    const EdgeId id = events_.front().first;
    const EdgeEvent event = std::move(events_.front().second);
    events_.pop_front();
    for (const EdgeAction& action : slots_[id].edge.step({&event, 1}))
      std::visit([this, id](const auto& specific) { act(id, specific); }, action);
  }
}

void Loop::on_answer(EdgeId edge, EdgeEvent answer) {
  events_.emplace_back(edge, std::move(answer));
}

void Loop::on_result(EdgeId edge, const LoadedResult& result) {
  slots_[edge].result = result;
}

void Loop::on_failure(llb::VertexId vertex, const Error& error) {
  const EdgeEvent failed = ActionFailed{};
  for (const auto& [index, id] : edges_[vertex]) (void)slots_[id].edge.step({&failed, 1});
  const bool stopping = stop_.stop_requested();
  if (stopping && (error.code() == Code::kCancelled || complete())) {
    if (progress_.executing(vertex)) progress_.end(vertex, VertexOutcome::kCancelled);
    return;
  }
  progress_.end(vertex, VertexOutcome::kFailed, error);
  if (!failure_) failure_ = explained(vertex, error);
  stop_.request_stop();
}

void Loop::act(EdgeId id, const ReadMap&) {
  jobs_.read_map(asker(id));
}

void Loop::act(EdgeId id, const AskInput& action) {
  const llb::Output output = graph_.vertex(slots_[id].output.vertex).inputs[action.input];
  const EdgeId input = edge_of(output);
  Slot& slot = slots_[input];
  const bool for_key = action.demand == Demand::kKey;
  if (for_key && slot.edge.keyed()) {
    events_.emplace_back(id, InputKeyed{action.input, slot.edge.answer()});
  } else if (!for_key && slot.complete) {
    events_.emplace_back(id, InputReady{action.input, slot.edge.answer()});
  } else {
    (for_key ? slot.key_users : slot.result_users).push_back({id, action.input});
    if (slot.edge.delayed()) events_.emplace_back(id, InputDelayed{action.input});
    want(input, action.demand);
  }
}

void Loop::act(EdgeId id, const ReadContent& action) {
  jobs_.read_content(asker(id), action.input, input_ref(slots_[id], action.input));
}

void Loop::act(EdgeId id, const FindAlias& action) {
  jobs_.find_alias(asker(id), action.fast);
}

void Loop::act(EdgeId id, const FindResult& action) {
  jobs_.find_result(asker(id), action);
}

void Loop::act(EdgeId id, const TakeLock& action) {
  jobs_.take_lock(asker(id), action.record);
}

void Loop::act(EdgeId id, const Execute& action) {
  const Slot& slot = slots_[id];
  std::vector<RefPtr> inputs;
  for (size_t i = 0; i < graph_.vertex(slot.output.vertex).inputs.size(); ++i)
    inputs.push_back(input_ref(slot, i));
  VertexJobs::Announce announce;
  if (on_miss_)
    announce = [this, miss = miss_of(slot, action.record)](JobContext& job) {
      return on_miss_(miss, job);
    };
  jobs_.execute(asker(id), action.record, std::move(inputs), std::move(announce));
}

Miss Loop::miss_of(const Slot& slot, const std::optional<KeyRecord>& record) {
  const llb::Vertex& vertex = graph_.vertex(slot.output.vertex);
  Miss miss{
      record, vertex.meta.ignore_cache, slot.edge.answer().freshness == Freshness::kStale, {}};
  for (const llb::Output& input : vertex.inputs)
    miss.inputs.push_back({graph_.vertex(input.vertex).meta.name,
                           slots_[edge_of(input)].source == EdgeSource::kExecuted});
  return miss;
}

void Loop::act(EdgeId id, const SaveAlias& action) {
  jobs_.save_alias(asker(id), action);
}

void Loop::act(EdgeId id, const PublishKey&) {
  Slot& slot = slots_[id];
  if (const std::optional<CacheKey> key = slot.edge.answer().key) caches_.announce(*key);
  for (const User& user : std::exchange(slot.key_users, {}))
    events_.emplace_back(user.edge, InputKeyed{user.input, slot.edge.answer()});
}

void Loop::act(EdgeId id, const PublishDelay&) {
  const Slot& slot = slots_[id];
  for (const User& user : slot.key_users) events_.emplace_back(user.edge, InputDelayed{user.input});
  for (const User& user : slot.result_users)
    events_.emplace_back(user.edge, InputDelayed{user.input});
}

void Loop::act(EdgeId id, const PublishResult& action) {
  Slot& slot = slots_[id];
  KILN_CHECK(slot.result.ref != nullptr);
  slot.complete = true;
  slot.source = action.cached ? EdgeSource::kCached : EdgeSource::kExecuted;
  jobs_.release_lock(asker(id));
  if (action.cached) end_cached(slot.output.vertex);
  if (on_solved_) on_solved_(solved(slot));
  for (const User& user : std::exchange(slot.result_users, {}))
    events_.emplace_back(user.edge, InputReady{user.input, slot.edge.answer()});
}

const RefPtr& Loop::input_ref(const Slot& slot, size_t input) {
  return slots_[edge_of(graph_.vertex(slot.output.vertex).inputs[input])].result.ref;
}

// People expect each step of a cached chain to be shown as cached, although only its end was looked
// up. What is being made for another user speaks for itself.
void Loop::end_cached(llb::VertexId vertex) {
  std::vector<llb::VertexId> shown, open{vertex};
  while (!open.empty()) {
    const llb::VertexId v = open.back();
    open.pop_back();
    if (progress_.ended(v) || (v != vertex && result_wanted_[v] != 0)) continue;
    if (std::exchange(shown_cached_[v], 1) != 0) continue;
    shown.push_back(v);
    for (const llb::Output& input : graph_.vertex(v).inputs) open.push_back(input.vertex);
  }
  std::sort(shown.begin(), shown.end());
  for (const llb::VertexId v : shown) progress_.end(v, VertexOutcome::kCached);
}

bool Loop::complete() const {
  return std::all_of(targets_.begin(), targets_.end(),
                     [this](EdgeId id) { return slots_[id].complete; });
}

Result<Solution> Loop::outcome(bool stop_requested) {
  if (!complete()) {
    KILN_CHECK(failure_ || stop_requested);  // edges never wait for nothing
    progress_.end_stopped();
    if (failure_ && !stop_requested) return tl::unexpected(*failure_);
    return fail(Code::kCancelled, "the build was cancelled");
  }
  progress_.end_solved();
  Solution solution;
  for (const EdgeId id : targets_) solution.targets.push_back(slots_[id].result.ref);
  for (const auto& outputs : edges_)
    for (const auto& [index, id] : outputs) solution.edges.push_back(solved(slots_[id]));
  return solution;
}

SolvedEdge Loop::solved(const Slot& slot) {
  SolvedEdge edge{slot.output,
                  slot.source,
                  slot.edge.answer().key,
                  slot.edge.record(),
                  slot.edge.alias_record(),
                  slot.result.ref,
                  std::nullopt};
  if (slot.complete) edge.created = slot.result.created;
  return edge;
}

Error Loop::explained(llb::VertexId vertex, const Error& error) const {
  const llb::Meta& meta = graph_.vertex(vertex).meta;
  // Shown with its lines, an error needs no name.
  if (!meta.where.empty()) return error.at(meta.where.front());
  return meta.name.empty() ? error : error.wrap(meta.name);
}

}  // namespace kiln
