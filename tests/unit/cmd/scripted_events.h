// Events and times for renderers, in few words.
#pragma once

#include "base/progress.h"
#include "cmd/step_table.h"

#include <chrono>
#include <string>

namespace kiln::cmd {

inline Digest vertex(const std::string& name) {
  return Digest::of(name);
}
inline Event added(const std::string& name) {
  return VertexAdded{vertex(name), name, {}};
}
inline Event started(const std::string& name) {
  return VertexStarted{vertex(name), name};
}
inline Event ended(const std::string& name, VertexOutcome outcome = VertexOutcome::kDone) {
  VertexDone done{vertex(name), outcome, std::nullopt};
  if (outcome == VertexOutcome::kFailed) done.error = Error(Code::kInternal, "it broke");
  return done;
}
inline Event output(const std::string& name, const std::string& bytes, int stream = 1) {
  return LogChunk{vertex(name), stream, bytes};
}
inline Event transfer(const std::string& name, const std::string& what, uint64_t done,
                      uint64_t total, bool complete = false) {
  return Transfer{vertex(name), what, done, total, complete};
}

/// A steady time `ms` milliseconds after a fixed beginning.
inline SteadyTime at_ms(int ms) {
  return SteadyTime() + std::chrono::milliseconds(ms);
}

}  // namespace kiln::cmd
