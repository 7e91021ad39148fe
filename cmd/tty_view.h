// What the live view shows, without a terminal: events and a time go in, rows come out. And how
// rows become the bytes that replace those of the frame before.
#pragma once

#include "base/progress.h"
#include "cmd/step_table.h"

#include <cstdint>
#include <string>
#include <vector>

namespace kiln::cmd {

struct TerminalSize {
  size_t columns = 80, rows = 24;
};
enum class Color : uint8_t { kNo, kYes };

/// A header, a row a step, and below running steps their warnings, transfers and last lines. Not
/// thread-safe.
class TtyView {
 public:
  TtyView(size_t log_lines, Color color, SteadyTime start)
      : log_lines_(log_lines), color_(color), start_(start) {}

  void on_event(const Event& event, SteadyTime now);
  /// True: rows change by themselves, as times of running steps do.
  bool is_running() const { return done_ < steps_.order().size(); }
  /// At most `size.rows` - 1 rows, none wider than the terminal less one column. If not all fits,
  /// steps that have ended go first, oldest first, then lines of output, then the oldest rows.
  std::vector<std::string> live(const TerminalSize& size, SteadyTime now);
  /// All steps, whatever the height, without their output.
  std::vector<std::string> last(const TerminalSize& size, SteadyTime now, bool succeeded);
  /// Framed output of the steps that failed, in the order of failing.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  struct Block {
    std::vector<std::string> rows;
    bool ended;
  };
  void on(const VertexAdded& event, SteadyTime now);
  void on(const VertexStarted& event, SteadyTime now);
  void on(const VertexDone& event, SteadyTime now);
  void on(const LogChunk& event, SteadyTime now);
  void on(const Transfer& event, SteadyTime now);
  void on(const BuildWarning& event, SteadyTime now);
  void on(const CacheMiss& event, SteadyTime now);

  std::string header(const TerminalSize& size, SteadyTime now, size_t total,
                     const char* state) const;
  Block block(Step& step, const TerminalSize& size, SteadyTime now, size_t log_lines) const;
  void add_output(Block& block, Step& step, const TerminalSize& size, size_t log_lines) const;
  std::vector<Block> blocks(const TerminalSize& size, SteadyTime now, size_t log_lines);
  std::string row(const std::string& text, double seconds, const TerminalSize& size,
                  const char* color) const;
  std::string colored(const char* color, std::string text) const;

  const size_t log_lines_;
  const Color color_;
  const SteadyTime start_;
  StepTable steps_;
  std::vector<std::string> failures_;
  size_t added_ = 0, done_ = 0;
};

/// Replaces the frame that it wrote before. Terminals wrap rows anew when they become narrower, so
/// how far the old frame reaches up depends on the size now.
class TtyPainter {
 public:
  std::string paint(const std::vector<std::string>& rows, const TerminalSize& size);
  /// The same; the frame stays, with the cursor shown again below it.
  std::string paint_last(const std::vector<std::string>& rows, const TerminalSize& size);

 private:
  std::vector<size_t> widths_;  // of the rows that are on the screen
};

/// Shows the cursor.
inline constexpr std::string_view kShowCursor = "\033[?25h";

}  // namespace kiln::cmd
