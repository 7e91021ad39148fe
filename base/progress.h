// What a build tells while it runs. Events are values keyed by vertex digest; renderers are pure
// consumers.
#pragma once

#include "base/digest.h"
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kiln {

enum class VertexOutcome : uint8_t { kDone, kCached, kFailed, kCancelled };

struct VertexAdded {
  Digest vertex;
  std::string name;
  std::vector<Digest> inputs;
};  // known, not started
struct VertexStarted {
  Digest vertex;
  std::string name;
};
struct VertexDone {
  Digest vertex;
  VertexOutcome outcome = VertexOutcome::kDone;
  std::optional<Error> error;
};
struct LogChunk {
  Digest vertex;
  int stream = 1;
  std::string bytes;
};  // raw process output; 2: stderr
struct Transfer {
  Digest vertex;
  std::string what;
  uint64_t done = 0, total = 0;
  bool complete = false;
};  // bytes; total 0: unknown
struct BuildWarning {
  std::string rule, message, url;
  SourceRange where;
  std::optional<Digest> vertex;
  std::string detail = {};  // what the rule is about, one sentence
};
/// Why a step was not found in a cache; before its output, if it was asked for.
struct CacheMiss {
  Digest vertex;
  std::vector<std::string> reasons;  // a line each, the cause first
};
using Event = std::variant<VertexAdded, VertexStarted, VertexDone, LogChunk, Transfer, BuildWarning,
                           CacheMiss>;

/// Thread-safe; never blocks the caller for long and cannot fail a build.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void on_event(const Event& event) noexcept = 0;
};

}  // namespace kiln
