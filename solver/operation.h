// The behaviour of one vertex, as the solver sees it. The solver knows no ops, no files and no
// containers: it asks for keys, looks them up, and executes what misses.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "cache/key.h"
#include "cache/store.h"
#include "llb/graph.h"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln {

/// An immutable result; the last holder lets go of what it pins. What it is (a snapshot, a context
/// directory) is between operations (solver/ops/tree_ref.h).
class Ref {
 public:
  virtual ~Ref() = default;
  /// What a cache record stores for it; nullopt: not cacheable (a local directory used in place).
  virtual Result<std::optional<CacheResult>> cache_result() = 0;
};
using RefPtr = std::shared_ptr<Ref>;

/// Who will want the result: lets an operation choose between unpacked and packed.
enum class OutputUse : uint8_t {
  kInput,       // another vertex of the graph takes it
  kTargetOnly,  // only the exporter does
};

struct JobContext {
  std::stop_token stop;
  ProgressSink& progress;
  const Digest& vertex;
  OutputUse use = OutputUse::kInput;
};

struct InputPolicy {
  std::string selector;     // sub-path that matters (definition keys); enters the key
  bool by_content = false;  // enters the canonical key by content_key() instead of by its own key
};
struct CacheMap {
  KeyFields op;                     // all that changes the result, inputs apart
  std::vector<InputPolicy> inputs;  // one for each input of the vertex
  bool uncacheable =
      false;  // no key: always executed, and users of it must take it by content (a local source)
};

/// Called from any worker, one call at a time. All calls may block and obey job.stop (kCancelled).
class Operation {
 public:
  virtual ~Operation() = default;
  virtual Result<CacheMap> cache_map(JobContext& job) = 0;
  /// Only for by_content inputs, with the input's result.
  virtual Result<Digest> content_key(size_t input, Ref& ref, JobContext& job) = 0;
  /// One Ref for each output of the vertex.
  virtual Result<std::vector<RefPtr>> execute(std::span<const RefPtr> inputs, JobContext& job) = 0;
};
using OpFactory = std::function<Result<std::unique_ptr<Operation>>(const llb::Vertex&)>;

/// Turns a found record into a Ref; pins what it names. kNotFound (gone or lost in a crash): the
/// solver takes it as a miss.
using ResultLoader = std::function<Result<RefPtr>(const CacheResult&)>;

}  // namespace kiln
