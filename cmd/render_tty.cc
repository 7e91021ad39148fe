// The live view on a real terminal, redrawn in place ten times a second. Everything above it is
// ordinary terminal output and stays in the scrollback.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "cmd/render.h"
#include "cmd/tty_view.h"

namespace kiln::cmd {
namespace {

constexpr std::chrono::milliseconds kFrame{100};

TerminalSize size_of(std::FILE* terminal) {
  struct winsize size {};
  if (::ioctl(::fileno(terminal), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  constexpr size_t kLeast = 4;
  return {std::max<size_t>(kLeast, size.ws_col), std::max<size_t>(kLeast, size.ws_row)};
}

class TtyRenderer : public Renderer {
 public:
  TtyRenderer(std::FILE* err, size_t log_lines, Color color)
      : err_(err), view_(log_lines, color, std::chrono::steady_clock::now()) {
    painting_ = std::jthread([this](std::stop_token stop) { paint_until(stop); });
  }

  ~TtyRenderer() override { finish(false); }

  void on_event(const Event& event) noexcept override {
    const std::lock_guard hold(mutex_);
    if (finished_) return;
    view_.on_event(event, std::chrono::steady_clock::now());
    dirty_ = true;
  }

  void finish(bool succeeded) noexcept override {
    {
      const std::lock_guard hold(mutex_);
      if (finished_) return;
      finished_ = true;
    }
    painting_.request_stop();
    wake_.notify_all();
    painting_.join();
    const std::lock_guard hold(mutex_);
    const TerminalSize size = size_of(err_);
    write(painter_.paint_last(view_.last(size, std::chrono::steady_clock::now(), succeeded), size));
    for (const std::string& block : view_.failures()) write(block);
  }

 private:
  void paint_until(const std::stop_token& stop) {
    std::unique_lock hold(mutex_);
    while (!stop.stop_requested()) {
      const TerminalSize size = size_of(err_);
      if (dirty_ || view_.is_running())
        write(painter_.paint(view_.live(size, std::chrono::steady_clock::now()), size));
      dirty_ = false;
      wake_.wait_for(hold, kFrame, [&] { return stop.stop_requested(); });
    }
  }

  // A closed terminal must not fail the build.
  void write(const std::string& text) {
    (void)std::fwrite(text.data(), 1, text.size(), err_);
    (void)std::fflush(err_);
  }

  std::FILE* const err_;
  std::mutex mutex_;  // everything below but painting_
  std::condition_variable wake_;
  TtyView view_;
  TtyPainter painter_;
  bool dirty_ = true, finished_ = false;
  std::jthread painting_;
};

}  // namespace

std::unique_ptr<Renderer> make_tty_renderer(std::FILE* err, size_t log_lines, Color color) {
  return std::make_unique<TtyRenderer>(err, log_lines, color);
}

}  // namespace kiln::cmd
