// How progress is shown: each renderer is a pure consumer of events (CLI.md B.4). All are
// thread-safe.
#pragma once

#include "base/clock.h"
#include "base/progress.h"
#include "base/result.h"
#include "cmd/step_table.h"
#include "cmd/tty_view.h"

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln::cmd {

class Renderer : public ProgressSink {
 public:
  /// Ends the display: the last state is shown, the terminal is as it was. Later events are
  /// dropped.
  virtual void finish(bool succeeded) noexcept = 0;
};

struct RenderOptions {
  std::string mode = "auto";  // auto, tty, plain, quiet, none, rawjson
  bool is_terminal = false;   // of standard error
  Color color = Color::kYes;
  size_t log_lines = 6;  // of each running step, on a terminal
};
/// Writes to `err` (rawjson too).
std::unique_ptr<Renderer> make_renderer(const RenderOptions& options, std::FILE* err);

using SteadyNow = std::function<SteadyTime()>;

/// One line a fact, numbered by step: "#5 [build 2/4] RUN make", "#5 0.231 …", "#5 DONE 1.2s".
std::unique_ptr<Renderer> make_plain_renderer(std::FILE* err,
                                              SteadyNow now = std::chrono::steady_clock::now);
/// A live view that is redrawn in place.
std::unique_ptr<Renderer> make_tty_renderer(std::FILE* err, size_t log_lines, Color color);
/// BuildKit's SolveStatus as JSON lines.
std::unique_ptr<Renderer> make_rawjson_renderer(std::FILE* err,
                                                const Clock& clock = Clock::system());
/// Shows nothing until a step fails, then that step's last output.
std::unique_ptr<Renderer> make_quiet_renderer(std::FILE* err);

/// The last lines of a failed step's output, framed.
std::string failed_step_block(const Step& step);

/// Passes events on and keeps the whole output of every step in a file of its own, in a directory
/// for this build below `logs` that is made on the first output; see make_build_log_directory().
std::unique_ptr<ProgressSink> make_log_keeper(std::string logs, size_t keep, ProgressSink& next);
/// A fresh directory below `logs` for one build; the oldest are removed so that `keep` remain.
Result<std::string> make_build_log_directory(const std::string& logs, size_t keep);

}  // namespace kiln::cmd
