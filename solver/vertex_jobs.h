// What edges ask for, done on workers: cache maps, content keys, lookups, key locks, executions.
// Answers come back to the loop as edge events. What belongs to a vertex rather than to one of its
// outputs (its operation, map, lock, execution) is done once and shared here. Loop thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stop_token>
#include <utility>
#include <vector>

#include "llb/graph.h"
#include "solver/cache_access.h"
#include "solver/edge.h"
#include "solver/task_queue.h"
#include "solver/vertex_progress.h"

namespace kiln {

using EdgeId = size_t;

/// The loop, as jobs see it.
class JobListener {
 public:
  virtual ~JobListener() = default;
  virtual void on_answer(EdgeId edge, EdgeEvent answer) = 0;
  virtual void on_result(EdgeId edge, const LoadedResult& result) = 0;  // before its answer
  virtual void on_failure(llb::VertexId vertex, const Error& error) = 0;
};

struct JobEnvironment {
  const llb::Graph& graph;
  const OpFactory& ops;
  const CacheAccess& caches;
  size_t max_executing;
  ProgressSink& sink;
  VertexProgress& progress;
  TaskQueue& tasks;
  std::stop_token stop;
};

class VertexJobs {
 public:
  VertexJobs(const JobEnvironment& environment, JobListener& listener);

  /// An edge and the output of a vertex that it is.
  struct Asker {
    EdgeId edge;
    llb::Output output;
  };
  void read_map(const Asker& asker);
  void read_content(const Asker& asker, size_t input, RefPtr ref);
  void find_alias(const Asker& asker, const CacheKey& fast);
  void find_result(const Asker& asker, const FindResult& request);
  void save_alias(const Asker& asker, const SaveAlias& request);
  /// All outputs of a vertex share one lock: that of output 0.
  void take_lock(const Asker& asker, KeyRecord record);
  void release_lock(const Asker& asker);  // if this edge holds it
  /// Called on the worker before the operation, and what it returns after it; either may be empty.
  using Announce = std::function<std::function<void(Ref&, JobContext&)>(JobContext&)>;
  void execute(const Asker& asker, std::optional<KeyRecord> record, std::vector<RefPtr> inputs,
               Announce announce);
  /// Starts what was asked for since the last call, as far as there are slots; nothing once a stop
  /// is requested.
  void start_pending();

 private:
  // Something that is made once for all edges that ask for it.
  template <class T>
  struct Shared {
    std::optional<T> value;
    bool open = false;
    std::vector<Asker> waiting;
  };
  using Map = std::shared_ptr<const CacheMap>;
  using Outputs = std::vector<LoadedResult>;
  struct Vertex {
    std::unique_ptr<Operation> operation;
    std::deque<std::function<void()>> calls;  // wait for the operation: one call at a time
    bool in_call = false;
    bool target_only = true;
    size_t users_ahead = 0;  // vertices on the longest path to a target
    Shared<Map> map;
    std::map<size_t, Shared<Digest>> contents;
    Shared<std::shared_ptr<KeyLock>> lock;
    std::set<EdgeId> lock_holders;
    Shared<Outputs> execution;
    std::optional<KeyRecord> record;  // until the execution starts
    std::vector<RefPtr> inputs;
    Announce announce;
  };
  struct MapOutcome {
    llb::VertexId vertex;
    Result<Map> map;
  };

  template <class T>
  static bool join(Shared<T>& shared, const Asker& asker);
  JobContext context(llb::VertexId vertex) const;
  void count_users();
  void start_maps();
  void start_map_batch(std::vector<llb::VertexId> batch);
  Result<Map> make_map(llb::VertexId id);
  void on_maps(std::vector<MapOutcome> outcomes);
  void on_content(llb::VertexId id, size_t input, const Result<Digest>& content);
  void on_lock(llb::VertexId id, Result<std::shared_ptr<KeyLock>> lock);
  void deliver_lock(Vertex& vertex, const Asker& asker);
  void start_execution(llb::VertexId id);
  Result<Outputs> run_execution(llb::VertexId id, const std::vector<RefPtr>& inputs,
                                const std::optional<KeyRecord>& record, const Announce& announce);
  void on_executed(llb::VertexId id, Result<Outputs> outputs);
  void deliver_output(const Asker& asker, const Outputs& outputs);
  void call_operation(llb::VertexId id, std::function<void()> begin);
  void operation_returned(llb::VertexId id);
  void fail_vertex(llb::VertexId id, const Error& error);

  const JobEnvironment env_;
  JobListener& listener_;
  std::vector<Vertex> vertices_;  // by id; never resized: workers refer to them
  std::vector<llb::VertexId> pending_maps_;
  using Ready = std::pair<size_t, llb::VertexId>;  // users ahead, reversed id: the largest first
  std::priority_queue<Ready> ready_;
  size_t executing_ = 0;
};

}  // namespace kiln
