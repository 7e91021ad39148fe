// One vertex of an export in the progress display. Its digest is the hash of its name: it is no
// vertex of the graph.
#pragma once

#include "base/digest.h"
#include "base/progress.h"
#include "base/result.h"

#include <string>

namespace kiln {

/// Started by the constructor. Ended by done(), by the first error that watch() sees, or as failed
/// by the destructor.
class ExportStep {
 public:
  ExportStep(std::string name, ProgressSink& progress);
  ~ExportStep();
  ExportStep(const ExportStep&) = delete;
  ExportStep& operator=(const ExportStep&) = delete;

  void log(std::string text);
  void transfer(std::string what, uint64_t done, uint64_t total);  // bytes; from any thread
  void done();
  /// Passes `result` on; an error ends the step with it.
  template <class T>
  Result<T> watch(Result<T> result) {
    if (!result) fail_with(result.error());
    return result;
  }

 private:
  void fail_with(const Error& error);
  Digest vertex_;
  ProgressSink& progress_;
  bool ended_ = false;
};

}  // namespace kiln
