// A live view, redrawn in place ten times a second: a header, one row a step, and under running
// steps their transfers and last lines. Everything above the view is ordinary terminal output and
// stays in the scrollback.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "cmd/diagnostics.h"
#include "cmd/render.h"
#include "cmd/step_table.h"

namespace kiln::cmd {
namespace {

constexpr std::chrono::milliseconds kFrame{100};

struct Size {
  size_t columns = 80, rows = 24;
};

// Cuts after `columns` characters, counting UTF-8 sequences as one.
std::string cut(const std::string& text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U) continue;
    if (seen++ == columns) return text.substr(0, i);
  }
  return text;
}

size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

class TtyRenderer : public Renderer {
 public:
  TtyRenderer(std::FILE* err, int log_lines, bool color)
      : err_(err),
        log_lines_(static_cast<size_t>(std::max(0, log_lines))),
        color_(color),
        start_(std::chrono::steady_clock::now()) {
    painter_ = std::jthread([this](std::stop_token stop) { paint_until(stop); });
  }

  ~TtyRenderer() override { finish(false); }

  void on_event(const Event& event) noexcept override {
    const std::lock_guard hold(mutex_);
    if (finished_) return;
    std::visit([this](const auto& e) { on(e); }, event);
    dirty_ = true;
  }

  void finish(bool succeeded) noexcept override {
    {
      const std::lock_guard hold(mutex_);
      if (finished_) return;
      finished_ = true;
    }
    painter_.request_stop();
    wake_.notify_all();
    painter_.join();
    const std::lock_guard hold(mutex_);
    succeeded_ = succeeded;
    paint(true);
    for (const std::string& block : failures_) (void)std::fputs(block.c_str(), err_);
    (void)std::fflush(err_);
  }

 private:
  void on(const VertexAdded& /*event*/) { ++added_; }
  void on(const VertexStarted& event) {
    Step& step = steps_.step(event.vertex, event.name);
    if (step.started) return;
    step.started = true;
    step.start = std::chrono::steady_clock::now();
  }
  void on(const LogChunk& event) { (void)steps_.add_output(steps_.step(event.vertex), event); }
  void on(const Transfer& event) { (void)steps_.add_transfer(steps_.step(event.vertex), event); }
  void on(const BuildWarning& event) {
    if (event.vertex) steps_.step(*event.vertex).warnings.push_back(warning_line(event));
  }
  void on(const VertexDone& event) {
    Step& step = steps_.step(event.vertex);
    (void)steps_.flush(step);
    step.outcome = event.outcome;
    step.error = event.error;
    step.end = std::chrono::steady_clock::now();
    if (!step.started) step.start = step.end;
    ++done_;
    if (event.outcome == VertexOutcome::kFailed)
      failures_.push_back(
          failed_step_block(step.name, {step.last_lines.begin(), step.last_lines.end()}));
  }

  void paint_until(const std::stop_token& stop) {
    std::unique_lock hold(mutex_);
    while (!stop.stop_requested()) {
      paint(false);
      wake_.wait_for(hold, kFrame, [&] { return stop.stop_requested(); });
    }
  }

  static Size terminal_size(std::FILE* file) {
    struct winsize size {};
    if (::ioctl(::fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
    return {size.ws_col, std::max<size_t>(4, size.ws_row)};
  }

  // One row: text on the left, time on the right, cut to the terminal.
  std::string row(const std::string& text, double seconds, const Size& size,
                  const char* color) const {
    char time[32];
    (void)std::snprintf(time, sizeof time, "%.1fs", seconds);  // fits any time
    const std::string right = time;
    const size_t room = size.columns > right.size() + 2 ? size.columns - right.size() - 2 : 1;
    std::string left = cut(text, room);
    left.append(room - std::min(room, width(left)), ' ');
    std::string line = left + " " + right;
    return color_ && color[0] != '\0' ? std::string(color) + line + "\033[0m" : line;
  }

  void add_step(std::vector<std::string>& out, Step& step, const Size& size, SteadyTime now,
                bool final) {
    const bool ended = step.outcome.has_value();
    std::string text = " => ";
    const char* color = "";
    if (ended && *step.outcome == VertexOutcome::kCached) text += "CACHED ";
    if (ended && *step.outcome == VertexOutcome::kCancelled) text += "CANCELED ";
    if (ended && *step.outcome == VertexOutcome::kFailed) text += "ERROR ";
    if (ended) color = *step.outcome == VertexOutcome::kFailed ? "\033[31m" : "\033[34m";
    out.push_back(
        row(text + step.name, seconds_between(step.start, ended ? step.end : now), size, color));
    for (const std::string& warning : step.warnings)
      out.push_back(row(" => WARN: " + warning, seconds_between(step.start, ended ? step.end : now),
                        size, "\033[33m"));
    if (ended || final) return;
    for (const Transfer& transfer : step.transfers) {
      std::string progress = transfer.what + " " + human_bytes(transfer.done);
      if (transfer.total != 0) progress += " / " + human_bytes(transfer.total);
      out.push_back(row(" => => " + progress, seconds_between(step.start, now), size, ""));
    }
    const size_t first =
        step.last_lines.size() > log_lines_ ? step.last_lines.size() - log_lines_ : 0;
    for (size_t i = first; i < step.last_lines.size(); ++i) {
      const std::string line = cut(" => => # " + step.last_lines[i], size.columns - 1);
      out.push_back(color_ ? "\033[2m" + line + "\033[0m" : line);
    }
  }

  void paint(bool final) {
    if (!final && !dirty_ && done_ == steps_.order().size()) return;
    dirty_ = false;
    const Size size = terminal_size(err_);
    const SteadyTime now = std::chrono::steady_clock::now();
    std::vector<std::string> lines;
    const std::string state = final ? (succeeded_ ? "FINISHED" : "FAILED") : "";
    char header[96];
    (void)std::snprintf(header, sizeof header, "[+] Building %.1fs (%zu/%zu) %s",
                        seconds_between(start_, now), done_,  // cut is fine
                        std::max(steps_.order().size(), final ? steps_.order().size() : added_),
                        state.c_str());
    lines.push_back(cut(header, size.columns - 1));
    for (const Digest& vertex : steps_.order())
      add_step(lines, steps_.step(vertex), size, now, final);
    // While live the view must fit the screen: the rows that matter now are the last ones.
    if (!final && lines.size() > size.rows - 1)
      lines.erase(lines.begin() + 1,
                  lines.begin() + static_cast<std::ptrdiff_t>(lines.size() - (size.rows - 2)));
    std::string frame = "\033[?25l";
    if (painted_ > 0) frame += "\033[" + std::to_string(painted_) + "A";
    for (const std::string& line : lines) frame += "\r\033[K" + line + "\n";
    frame += "\033[J";
    if (final) frame += "\033[?25h";
    painted_ = final ? 0 : lines.size();
    (void)std::fwrite(frame.data(), 1, frame.size(),
                      err_);  // a closed terminal must not fail the build
    (void)std::fflush(err_);
  }

  std::FILE* const err_;
  const size_t log_lines_;
  const bool color_;
  const SteadyTime start_;
  std::mutex mutex_;  // everything below but painter_
  std::condition_variable wake_;
  StepTable steps_;
  std::vector<std::string> failures_;
  size_t added_ = 0, done_ = 0, painted_ = 0;
  bool dirty_ = true, finished_ = false, succeeded_ = false;
  std::jthread painter_;
};

}  // namespace

std::unique_ptr<Renderer> make_tty_renderer(std::FILE* err, int log_lines, bool color) {
  return std::make_unique<TtyRenderer>(err, log_lines, color);
}

}  // namespace kiln::cmd
