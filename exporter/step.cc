#include "exporter/step.h"

namespace kiln {

ExportStep::ExportStep(std::string name, ProgressSink& progress)
    : vertex_(Digest::of("export: " + name)), progress_(progress) {
  progress_.on_event(VertexStarted{vertex_, std::move(name)});
}

ExportStep::~ExportStep() {
  if (!ended_) fail_with(Error(Code::kInternal, "the export did not end"));
}

void ExportStep::log(std::string text) {
  progress_.on_event(LogChunk{vertex_, 1, std::move(text)});
}

void ExportStep::transfer(std::string what, uint64_t done, uint64_t total) {
  progress_.on_event(Transfer{vertex_, std::move(what), done, total, done == total});
}

void ExportStep::done() {
  ended_ = true;
  progress_.on_event(VertexDone{vertex_, VertexOutcome::kDone, std::nullopt});
}

void ExportStep::fail_with(const Error& error) {
  if (ended_) return;
  ended_ = true;
  const bool cancelled = error.code() == Code::kCancelled;
  progress_.on_event(
      VertexDone{vertex_, cancelled ? VertexOutcome::kCancelled : VertexOutcome::kFailed, error});
}

}  // namespace kiln
