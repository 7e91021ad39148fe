// One solve: owns the edges on the calling thread, carries events between them and turns their
// actions into jobs. It decides nothing about caching: edges do (edge.h).
#pragma once

#include <deque>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "solver/edge.h"
#include "solver/solver.h"
#include "solver/vertex_jobs.h"

namespace kiln {

class Loop : private JobListener {
 public:
  Loop(const llb::Graph& graph, const SolverConfig& config, const SolveOptions& options,
       ProgressSink& sink);
  /// Blocks until the targets are there or something failed, and nothing runs any more. Once.
  Result<Solution> run(const std::stop_token& stop);

 private:
  struct User {
    EdgeId edge;
    size_t input;
  };
  struct Slot {
    Slot(const Edge::Spec& spec, llb::Output at) : edge(spec), output(at) {}
    Edge edge;
    llb::Output output;
    Demand demand = Demand::kNothing;
    bool complete = false;
    EdgeSource source = EdgeSource::kNotNeeded;
    LoadedResult result;
    std::vector<User> key_users, result_users;  // wait for an answer
  };

  // JobListener
  void on_answer(EdgeId edge, EdgeEvent answer) override;
  void on_result(EdgeId edge, const LoadedResult& result) override;
  void on_failure(llb::VertexId vertex, const Error& error) override;

  EdgeId edge_of(llb::Output output);
  void want(EdgeId edge, Demand demand);
  void pump();
  void act(EdgeId id, const ReadMap& action);
  void act(EdgeId id, const AskInput& action);
  void act(EdgeId id, const ReadContent& action);
  void act(EdgeId id, const FindAlias& action);
  void act(EdgeId id, const FindResult& action);
  void act(EdgeId id, const TakeLock& action);
  void act(EdgeId id, const Execute& action);
  void act(EdgeId id, const SaveAlias& action);
  void act(EdgeId id, const PublishKey& action);
  void act(EdgeId id, const PublishDelay& action);
  void act(EdgeId id, const PublishResult& action);
  VertexJobs::Asker asker(EdgeId id) const { return {id, slots_[id].output}; }
  Miss miss_of(const Slot& slot, const std::optional<KeyRecord>& record);
  const RefPtr& input_ref(const Slot& slot, size_t input);
  static SolvedEdge solved(const Slot& slot);
  void end_cached(llb::VertexId vertex);
  bool complete() const;
  Result<Solution> outcome(bool stop_requested);
  Error explained(llb::VertexId vertex, const Error& error) const;

  const llb::Graph& graph_;
  const std::function<void(const SolvedEdge&)> on_solved_;
  const std::function<AfterMiss(const Miss&, JobContext&)> on_miss_;
  std::stop_source stop_;
  TaskQueue tasks_;
  CacheAccess caches_;
  VertexProgress progress_;
  VertexJobs jobs_;
  std::deque<Slot> slots_;                                       // by EdgeId
  std::vector<std::vector<std::pair<uint32_t, EdgeId>>> edges_;  // of each vertex, by output
  std::vector<uint8_t> result_wanted_, shown_cached_;            // by vertex: 0 or 1
  std::deque<std::pair<EdgeId, EdgeEvent>> events_;
  std::vector<EdgeId> targets_;
  std::optional<Error> failure_;  // the first one
};

}  // namespace kiln
