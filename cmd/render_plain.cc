#include <mutex>
#include <utility>

#include "base/strings.h"
#include "cmd/diagnostics.h"
#include "cmd/render.h"
#include "cmd/step_table.h"

namespace kiln::cmd {
namespace {

std::string seconds_text(double seconds, int digits) {
  char buffer[32];
  (void)std::snprintf(buffer, sizeof buffer, "%.*f", digits, seconds);  // 32 bytes hold any time
  return buffer;
}

class PlainRenderer : public Renderer {
 public:
  PlainRenderer(std::FILE* err, SteadyNow now) : err_(err), now_(std::move(now)) {}

  void on_event(const Event& event) noexcept override {
    const std::lock_guard hold(mutex_);
    if (finished_) return;
    std::visit([this](const auto& e) { on(e); }, event);
    (void)std::fflush(err_);  // a full disk or closed pipe must not fail the build
  }

  void finish(bool /*succeeded*/) noexcept override {
    const std::lock_guard hold(mutex_);
    if (finished_) return;
    finished_ = true;
    for (const std::string& block : failures_) (void)std::fputs(block.c_str(), err_);
    (void)std::fflush(err_);
  }

 private:
  void on(const VertexAdded& /*event*/) {}  // shown when it starts or turns out to be cached

  void on(const VertexStarted& event) {
    Step& step = steps_.step(event.vertex, event.name);
    if (step.started) return;
    step.started = true;
    step.start = now_();
    head(step);
  }

  void on(const LogChunk& event) {
    Step& step = steps_.step(event.vertex);
    print_lines(step, steps_.add_output(step, event));
  }

  void on(const Transfer& event) {
    Step& step = steps_.step(event.vertex);
    if (!event.complete) return;  // a log shows what was moved, not how
    line(step, event.what + " " + human_bytes(event.done) +
                   (event.total != 0 ? " / " + human_bytes(event.total) : "") + " done");
  }

  void on(const VertexDone& event) {
    Step& step = steps_.step(event.vertex);
    // What was fetched to find the Dockerfile is a part of the build itself once more.
    if (step.outcome) return;
    step.outcome = event.outcome;
    print_lines(step, steps_.flush(step));
    if (event.outcome == VertexOutcome::kCached) {
      if (!step.started) head(step);
      line(step, "CACHED");
    } else if (event.outcome == VertexOutcome::kCancelled) {
      line(step, "CANCELED");
    } else if (event.outcome == VertexOutcome::kFailed) {
      line(step,
           "ERROR: " + (event.error ? printable(event.error->message()) : std::string("failed")));
      // Once more at the end, where it is looked for: other steps may have printed since.
      if (!step.last_lines.empty()) failures_.push_back(failed_step_block(step));
    } else {
      line(step, "DONE " + seconds_text(seconds_between(step.start, now_()), 1) + "s");
    }
    (void)std::fputs("\n", err_);
    last_number_ = 0;
  }

  void on(const BuildWarning& event) {
    if (event.vertex) line(steps_.step(*event.vertex), "WARN: " + warning_line(event));
  }

  void on(const CacheMiss& event) {
    for (const std::string& reason : event.reasons)
      line(steps_.step(event.vertex), "not cached: " + printable(reason));
  }

  void head(Step& step) {
    last_number_ = step.number;
    (void)std::fprintf(err_, "#%d %s\n", step.number, step.name.c_str());
  }

  void line(const Step& step, const std::string& text) {
    if (last_number_ != 0 && last_number_ != step.number) (void)std::fputs("\n", err_);
    last_number_ = step.number;
    (void)std::fprintf(err_, "#%d %s\n", step.number, text.c_str());
  }

  void print_lines(const Step& step, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    const std::string at = seconds_text(seconds_between(step.start, now_()), 3) + " ";
    for (const std::string& text : lines) line(step, at + text);
  }

  std::mutex mutex_;  // everything below
  std::FILE* err_;
  const SteadyNow now_;
  StepTable steps_;
  std::vector<std::string> failures_;
  int last_number_ = 0;
  bool finished_ = false;
};

class QuietRenderer : public Renderer {
 public:
  explicit QuietRenderer(std::FILE* err) : err_(err) {}
  void on_event(const Event& event) noexcept override {
    const std::lock_guard hold(mutex_);
    if (const auto* started = std::get_if<VertexStarted>(&event)) {
      (void)steps_.step(started->vertex, started->name);
    } else if (const auto* chunk = std::get_if<LogChunk>(&event)) {
      (void)steps_.add_output(steps_.step(chunk->vertex), *chunk);
    } else if (const auto* done = std::get_if<VertexDone>(&event);
               done != nullptr && done->outcome == VertexOutcome::kFailed) {
      Step& step = steps_.step(done->vertex);
      (void)steps_.flush(step);
      (void)std::fputs(failed_step_block(step).c_str(), err_);
    }
  }
  void finish(bool /*succeeded*/) noexcept override {}

 private:
  std::mutex mutex_;  // steps_
  std::FILE* err_;
  StepTable steps_;
};

}  // namespace

std::string failed_step_block(const Step& step) {
  const std::deque<std::string>& lines = step.last_lines;
  std::string text = "------\n > " + step.name + ":\n";
  constexpr size_t kShown = 40;
  const size_t first = lines.size() > kShown ? lines.size() - kShown : 0;
  if (first > 0) text += "(" + std::to_string(first) + " earlier lines)\n";
  for (size_t i = first; i < lines.size(); ++i) text += lines[i] + "\n";
  return text + "------\n";
}

std::unique_ptr<Renderer> make_plain_renderer(std::FILE* err, SteadyNow now) {
  return std::make_unique<PlainRenderer>(err, std::move(now));
}
std::unique_ptr<Renderer> make_quiet_renderer(std::FILE* err) {
  return std::make_unique<QuietRenderer>(err);
}

std::unique_ptr<Renderer> make_renderer(const RenderOptions& options, std::FILE* err) {
  if (options.mode == "quiet" || options.mode == "none") return make_quiet_renderer(err);
  if (options.mode == "rawjson") return make_rawjson_renderer(err);
  if (options.mode == "plain" || (options.mode == "auto" && !options.is_terminal))
    return make_plain_renderer(err);
  return make_tty_renderer(err, options.log_lines, options.color);
}

}  // namespace kiln::cmd
