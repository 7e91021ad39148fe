#include "solver/vertex_jobs.h"

#include <algorithm>
#include <limits>
#include <string>

namespace kiln {
namespace {

// Maps of vertices with inputs are computed from the op alone. A task for each would cost more than
// the map: 10,000 wake-ups of a worker against 8.
constexpr size_t kMapBatches = 8;

constexpr llb::VertexId reversed(llb::VertexId id) {
  return std::numeric_limits<llb::VertexId>::max() - id;
}

}  // namespace

VertexJobs::VertexJobs(const JobEnvironment& environment, JobListener& listener)
    : env_(environment), listener_(listener), vertices_(environment.graph.vertices().size()) {
  count_users();
}

void VertexJobs::count_users() {
  for (size_t user = vertices_.size(); user-- > 0;) {
    for (const llb::Output& input : env_.graph.vertices()[user].inputs) {
      Vertex& vertex = vertices_[input.vertex];
      vertex.target_only = false;
      vertex.users_ahead = std::max(vertex.users_ahead, vertices_[user].users_ahead + 1);
    }
  }
}

// True: it has to be started for this asker, who waits like all that come later.
template <class T>
bool VertexJobs::join(Shared<T>& shared, const Asker& asker) {
  shared.waiting.push_back(asker);
  return !std::exchange(shared.open, true);
}

JobContext VertexJobs::context(llb::VertexId vertex) const {
  const bool target_only = vertices_[vertex].target_only;
  return JobContext{env_.stop, env_.sink, env_.graph.vertex(vertex).digest,
                    target_only ? OutputUse::kTargetOnly : OutputUse::kInput};
}

void VertexJobs::start_pending() {
  if (env_.stop.stop_requested()) return;
  start_maps();
  while (executing_ < env_.max_executing && !ready_.empty()) {
    const llb::VertexId id = reversed(ready_.top().second);
    ready_.pop();
    ++executing_;
    call_operation(id, [this, id] { start_execution(id); });
  }
}

// ---- cache maps

void VertexJobs::read_map(const Asker& asker) {
  Vertex& vertex = vertices_[asker.output.vertex];
  if (vertex.map.value) return listener_.on_answer(asker.edge, MapRead{*vertex.map.value});
  if (join(vertex.map, asker)) pending_maps_.push_back(asker.output.vertex);
}

// A source's map may wait for the world: each has a task of its own.
void VertexJobs::start_maps() {
  std::vector<llb::VertexId> computed;
  for (const llb::VertexId id : std::exchange(pending_maps_, {})) {
    if (!env_.graph.vertex(id).inputs.empty()) {
      computed.push_back(id);
      continue;
    }
    env_.progress.start(id);
    start_map_batch({id});
  }
  const size_t size = (computed.size() + kMapBatches - 1) / kMapBatches;
  for (size_t from = 0; from < computed.size(); from += size) {
    const size_t to = std::min(from + size, computed.size());
    start_map_batch({computed.data() + from, computed.data() + to});
  }
}

void VertexJobs::start_map_batch(std::vector<llb::VertexId> batch) {
  env_.tasks.start(
      [this, batch = std::move(batch)] {
        std::vector<MapOutcome> outcomes;
        outcomes.reserve(batch.size());
        for (const llb::VertexId id : batch) outcomes.push_back({id, make_map(id)});
        return outcomes;
      },
      [this](std::vector<MapOutcome> outcomes) { on_maps(std::move(outcomes)); });
}

// On a worker. Nobody else touches the operation before the map is there.
Result<VertexJobs::Map> VertexJobs::make_map(llb::VertexId id) {
  if (env_.stop.stop_requested()) return fail(Code::kCancelled, "cancelled");
  const llb::Vertex& vertex = env_.graph.vertex(id);
  KILN_TRY_ASSIGN(vertices_[id].operation, env_.ops(vertex));
  JobContext job = context(id);
  KILN_TRY_ASSIGN(CacheMap map, vertices_[id].operation->cache_map(job));
  if (map.inputs.size() != vertex.inputs.size())
    return fail(Code::kInternal, "the cache map does not have the vertex's inputs");
  return std::make_shared<const CacheMap>(std::move(map));
}

void VertexJobs::on_maps(std::vector<MapOutcome> outcomes) {
  for (MapOutcome& outcome : outcomes) {
    Vertex& vertex = vertices_[outcome.vertex];
    if (!outcome.map) {
      fail_vertex(outcome.vertex, outcome.map.error());
      continue;
    }
    vertex.map.value = *std::move(outcome.map);
    for (const Asker& asker : std::exchange(vertex.map.waiting, {}))
      listener_.on_answer(asker.edge, MapRead{*vertex.map.value});
  }
}

// ---- content keys

void VertexJobs::read_content(const Asker& asker, size_t input, RefPtr ref) {
  const llb::VertexId id = asker.output.vertex;
  Shared<Digest>& content = vertices_[id].contents[input];
  if (content.value) return listener_.on_answer(asker.edge, ContentRead{input, *content.value});
  if (!join(content, asker)) return;
  env_.progress.start(id);
  call_operation(id, [this, id, input, ref = std::move(ref)] {
    env_.tasks.start(
        [this, id, input, ref] {
          JobContext job = context(id);
          return vertices_[id].operation->content_key(input, *ref, job);
        },
        [this, id, input](const Result<Digest>& digest) { on_content(id, input, digest); });
  });
}

void VertexJobs::on_content(llb::VertexId id, size_t input, const Result<Digest>& content) {
  operation_returned(id);
  if (!content) return fail_vertex(id, content.error());
  Shared<Digest>& shared = vertices_[id].contents[input];
  shared.value = *content;
  for (const Asker& asker : std::exchange(shared.waiting, {}))
    listener_.on_answer(asker.edge, ContentRead{input, *content});
}

// ---- lookups

void VertexJobs::find_alias(const Asker& asker, const CacheKey& fast) {
  const EdgeId edge = asker.edge;
  if (env_.caches.empty()) return listener_.on_answer(edge, AliasLookedUp{std::nullopt});
  env_.tasks.start([this, fast] { return env_.caches.find_alias(fast); },
                   [this, edge](const std::optional<CacheKey>& target) {
                     listener_.on_answer(edge, AliasLookedUp{target});
                   });
}

void VertexJobs::find_result(const Asker& asker, const FindResult& request) {
  if (env_.caches.empty()) return listener_.on_answer(asker.edge, ResultLookedUp{false});
  env_.tasks.start(
      [this, request] { return env_.caches.find(request.key, request.record, env_.stop); },
      [this, asker](const Result<std::optional<LoadedResult>>& result) {
        if (!result) return fail_vertex(asker.output.vertex, result.error());
        if (*result) listener_.on_result(asker.edge, **result);
        listener_.on_answer(asker.edge, ResultLookedUp{result->has_value()});
      });
}

void VertexJobs::save_alias(const Asker& asker, const SaveAlias& request) {
  if (env_.caches.empty()) return;
  env_.tasks.start(
      [this, id = asker.output.vertex, request] {
        JobContext job = context(id);
        env_.caches.save_alias(request.fast, request.target, job);
        return Status{};
      },
      [](const Status&) {});
}

// ---- key locks

void VertexJobs::take_lock(const Asker& asker, KeyRecord record) {
  const llb::VertexId id = asker.output.vertex;
  Vertex& vertex = vertices_[id];
  if (env_.caches.empty()) return listener_.on_answer(asker.edge, LockTaken{});
  if (vertex.lock.value) return deliver_lock(vertex, asker);
  if (!join(vertex.lock, asker)) return;
  record.output = 0;
  env_.tasks.start(
      [this, key = record.key()] { return env_.caches.lock(key, env_.stop); },
      [this, id](Result<std::shared_ptr<KeyLock>> lock) { on_lock(id, std::move(lock)); });
}

void VertexJobs::on_lock(llb::VertexId id, Result<std::shared_ptr<KeyLock>> lock) {
  if (!lock) return fail_vertex(id, lock.error());
  Vertex& vertex = vertices_[id];
  vertex.lock.open = false;
  vertex.lock.value = *std::move(lock);
  for (const Asker& asker : std::exchange(vertex.lock.waiting, {})) deliver_lock(vertex, asker);
}

void VertexJobs::deliver_lock(Vertex& vertex, const Asker& asker) {
  vertex.lock_holders.insert(asker.edge);
  listener_.on_answer(asker.edge, LockTaken{});
}

void VertexJobs::release_lock(const Asker& asker) {
  Vertex& vertex = vertices_[asker.output.vertex];
  if (vertex.lock_holders.erase(asker.edge) == 1 && vertex.lock_holders.empty())
    vertex.lock.value.reset();
}

// ---- executions

void VertexJobs::execute(const Asker& asker, std::optional<KeyRecord> record,
                         std::vector<RefPtr> inputs, Announce announce) {
  const llb::VertexId id = asker.output.vertex;
  Vertex& vertex = vertices_[id];
  if (vertex.execution.value) return deliver_output(asker, *vertex.execution.value);
  if (!join(vertex.execution, asker)) return;
  vertex.record = std::move(record);
  vertex.inputs = std::move(inputs);
  vertex.announce = std::move(announce);
  ready_.emplace(vertex.users_ahead, reversed(id));
}

void VertexJobs::start_execution(llb::VertexId id) {
  Vertex& vertex = vertices_[id];
  env_.progress.start_execution(id);
  env_.tasks.start(
      [this, id, inputs = std::exchange(vertex.inputs, {}),
       record = std::exchange(vertex.record, {}), announce = std::exchange(vertex.announce, {})] {
        return run_execution(id, inputs, record, announce);
      },
      [this, id](Result<Outputs> outputs) { on_executed(id, std::move(outputs)); });
}

// On a worker, under the key's lock: the results are saved before others look for them.
Result<VertexJobs::Outputs> VertexJobs::run_execution(llb::VertexId id,
                                                      const std::vector<RefPtr>& inputs,
                                                      const std::optional<KeyRecord>& record,
                                                      const Announce& announce) {
  JobContext job = context(id);
  const auto after = announce ? announce(job) : nullptr;
  KILN_TRY_ASSIGN(std::vector<RefPtr> refs, vertices_[id].operation->execute(inputs, job));
  Outputs outputs;
  outputs.reserve(refs.size());
  for (RefPtr& ref : refs) {
    if (!ref) return fail(Code::kInternal, "the step made no result for one of its outputs");
    std::optional<KeyRecord> output_record = record;
    if (output_record) output_record->output = static_cast<uint32_t>(outputs.size());
    const auto created = env_.caches.save(output_record, *ref, job);
    outputs.push_back({std::move(ref), created});
  }
  if (after && !outputs.empty()) after(*outputs.front().ref, job);
  return outputs;
}

void VertexJobs::on_executed(llb::VertexId id, Result<Outputs> outputs) {
  --executing_;
  operation_returned(id);
  if (!outputs) return fail_vertex(id, outputs.error());
  Vertex& vertex = vertices_[id];
  vertex.execution.value = *std::move(outputs);
  env_.progress.end(id, VertexOutcome::kDone);
  for (const Asker& asker : std::exchange(vertex.execution.waiting, {}))
    deliver_output(asker, *vertex.execution.value);
}

void VertexJobs::deliver_output(const Asker& asker, const Outputs& outputs) {
  if (asker.output.index >= outputs.size()) {
    return fail_vertex(
        asker.output.vertex,
        Error(Code::kInternal, "the step has no output " + std::to_string(asker.output.index)));
  }
  listener_.on_result(asker.edge, outputs[asker.output.index]);
  listener_.on_answer(asker.edge, Executed{});
}

// ---- operations

void VertexJobs::call_operation(llb::VertexId id, std::function<void()> begin) {
  Vertex& vertex = vertices_[id];
  if (std::exchange(vertex.in_call, true)) {
    vertex.calls.push_back(std::move(begin));
  } else {
    begin();
  }
}

void VertexJobs::operation_returned(llb::VertexId id) {
  Vertex& vertex = vertices_[id];
  vertex.in_call = false;
  if (vertex.calls.empty() || env_.stop.stop_requested()) return;
  const std::function<void()> next = std::move(vertex.calls.front());
  vertex.calls.pop_front();
  vertex.in_call = true;
  next();
}

void VertexJobs::fail_vertex(llb::VertexId id, const Error& error) {
  listener_.on_failure(id, error);
}

}  // namespace kiln
