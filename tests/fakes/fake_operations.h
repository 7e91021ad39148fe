// Operations for solver tests: what a step makes is a string, and everything done is counted by the
// step's name.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "llb/graph.h"
#include "solver/operation.h"
#include "solver/solver.h"

namespace kiln::fake {

class FakeRef : public Ref {
 public:
  explicit FakeRef(std::string made) : text(std::move(made)) {}
  Result<std::optional<CacheResult>> cache_result() override {
    CacheResult result;
    result.local_ref = text;
    return result;
  }
  const std::string text;
};

inline std::string text_of(const RefPtr& ref) {
  return ref ? static_cast<const FakeRef&>(*ref).text : "(null)";
}

/// How the step of a name behaves. By default its text is "name(texts of its inputs)".
struct Step {
  std::string makes;            // its text, if not the default
  std::string key;              // what enters its key; "": its name
  std::set<size_t> by_content;  // inputs
  std::string selector;         // of all inputs
  bool uncacheable = false;
  size_t outputs = 1;  // further ones are "name#1(...)"
  std::function<Status(JobContext&)> on_map, on_execute;
};

class FakeOperations {
 public:
  std::map<std::string, Step> steps;
  std::set<std::string> lost;  // texts whose records cannot be loaded any more

  OpFactory factory() {
    return [this](const llb::Vertex& vertex) -> Result<std::unique_ptr<Operation>> {
      return std::make_unique<FakeOperation>(*this, vertex);
    };
  }
  ResultLoader loader() {
    return [this](const CacheResult& result) -> Result<RefPtr> {
      count("load " + result.local_ref);
      if (lost.contains(result.local_ref)) return fail(Code::kNotFound, "the result is gone");
      return std::make_shared<FakeRef>(result.local_ref);
    };
  }
  /// How often: "map x", "content x", "execute x", "load <text>".
  int times(const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return counts_[what];
  }
  /// The names of the steps that executed, sorted.
  std::vector<std::string> executed() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [what, times] : counts_)
      if (times > 0 && what.starts_with("execute ")) names.push_back(what.substr(8));
    return names;
  }
  void forget_counts() {
    const std::lock_guard<std::mutex> lock(mutex_);
    counts_.clear();
  }

 private:
  class FakeOperation : public Operation {
   public:
    FakeOperation(FakeOperations& all, const llb::Vertex& vertex)
        : all_(all), name_(vertex.meta.name), inputs_(vertex.inputs.size()) {
      const auto step = all.steps.find(name_);
      if (step != all.steps.end()) step_ = step->second;
    }
    Result<CacheMap> cache_map(JobContext& job) override {
      all_.count("map " + name_);
      if (step_.on_map) KILN_TRY(step_.on_map(job));
      CacheMap map;
      map.op.add("op", step_.key.empty() ? name_ : step_.key);
      for (size_t i = 0; i < inputs_; ++i)
        map.inputs.push_back({step_.selector, step_.by_content.contains(i)});
      map.uncacheable = step_.uncacheable;
      return map;
    }
    Result<Digest> content_key(size_t, Ref& ref, JobContext&) override {
      all_.count("content " + name_);
      return Digest::of(static_cast<FakeRef&>(ref).text);
    }
    Result<std::vector<RefPtr>> execute(std::span<const RefPtr> inputs, JobContext& job) override {
      all_.count("execute " + name_);
      if (step_.on_execute) KILN_TRY(step_.on_execute(job));
      std::vector<RefPtr> outputs;
      for (size_t i = 0; i < step_.outputs; ++i) {
        std::string text = name_ + (i == 0 ? "" : "#" + std::to_string(i)) + "(";
        for (const RefPtr& input : inputs) text += text_of(input);
        text += ")";
        if (!step_.makes.empty()) text = step_.makes;
        outputs.push_back(std::make_shared<FakeRef>(text));
      }
      return outputs;
    }

   private:
    FakeOperations& all_;
    std::string name_;
    size_t inputs_;
    Step step_;
  };

  void count(const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counts_[what];
  }
  std::mutex mutex_;  // protects counts_
  std::map<std::string, int> counts_;
};

/// Keeps events as text: "added a", "started a", "done a", "cached a", "failed a", "cancelled a".
class RecordingSink : public ProgressSink {
 public:
  explicit RecordingSink(const llb::Graph& graph) {
    for (const llb::Vertex& vertex : graph.vertices()) names_[vertex.digest] = vertex.meta.name;
  }
  void on_event(const Event& event) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto* added = std::get_if<VertexAdded>(&event)) note("added", added->vertex);
    if (const auto* started = std::get_if<VertexStarted>(&event)) note("started", started->vertex);
    if (const auto* done = std::get_if<VertexDone>(&event)) {
      static constexpr const char* kWords[] = {"done", "cached", "failed", "cancelled"};
      note(kWords[static_cast<size_t>(done->outcome)], done->vertex);
    }
    if (const auto* warning = std::get_if<BuildWarning>(&event))
      events_.push_back("warning " + warning->rule);
  }
  std::vector<std::string> events() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return events_;
  }
  /// Only of these words.
  std::vector<std::string> events(const std::set<std::string>& words) {
    std::vector<std::string> some;
    for (const std::string& event : events())
      if (words.contains(event.substr(0, event.find(' ')))) some.push_back(event);
    return some;
  }

 private:
  void note(const char* word, const Digest& vertex) {
    events_.push_back(std::string(word) + " " + names_.at(vertex));
  }
  std::mutex mutex_;  // protects events_
  std::vector<std::string> events_;
  std::map<Digest, std::string> names_;
};

/// Graphs by name: `add("c", {a, b})`.
class GraphMaker {
 public:
  llb::Output add(const std::string& name, std::vector<llb::Output> inputs = {}) {
    llb::Meta meta;
    meta.name = name;
    meta.ignore_cache = ignoring_cache.contains(name);
    ++line_;
    meta.where = {{"Dockerfile", line_, line_}};
    return builder_.add(llb::SourceOp{name, {}}, std::move(inputs), std::nullopt, std::move(meta));
  }
  std::set<std::string> ignoring_cache;  // before add()

  llb::Graph build(std::vector<llb::Output> targets) {
    return std::move(builder_).build(std::move(targets));
  }

 private:
  llb::GraphBuilder builder_;
  int line_ = 0;
};

}  // namespace kiln::fake
