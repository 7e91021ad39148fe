#include "cmd/tty_view.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cmd/diagnostics.h"
#include "cmd/render.h"
#include "cmd/terminal_text.h"

namespace kiln::cmd {
namespace {

constexpr const char* kNone = "";
constexpr const char* kDim = "\033[2m";
constexpr const char* kRed = "\033[31m";
constexpr const char* kYellow = "\033[33m";
constexpr const char* kBlue = "\033[34m";
constexpr std::string_view kPlain = "\033[0m";

const char* label_of(const Step& step) {
  if (!step.outcome) return "";
  switch (*step.outcome) {
    case VertexOutcome::kCached:
      return "CACHED ";
    case VertexOutcome::kCancelled:
      return "CANCELED ";
    case VertexOutcome::kFailed:
      return "ERROR ";
    case VertexOutcome::kDone:
      break;
  }
  return "";
}

const char* color_of(const Step& step) {
  if (!step.outcome) return kNone;
  return *step.outcome == VertexOutcome::kFailed ? kRed : kBlue;
}

std::string describe(const Transfer& transfer) {
  std::string text = transfer.what + " " + human_bytes(transfer.done);
  if (transfer.total != 0) text += " / " + human_bytes(transfer.total);
  return text;
}

// Columns that the terminal shows of it: what this file writes has color sequences, and no others.
size_t shown_columns(const std::string& row) {
  return columns_of(without_control_sequences(row));
}

}  // namespace

void TtyView::on_event(const Event& event, SteadyTime now) {
  std::visit([&](const auto& e) { on(e, now); }, event);
}

void TtyView::on(const VertexAdded& /*event*/, SteadyTime /*now*/) {
  ++added_;
}

void TtyView::on(const VertexStarted& event, SteadyTime now) {
  Step& step = steps_.step(event.vertex, event.name);
  if (step.started) return;
  step.started = true;
  step.start = now;
}

void TtyView::on(const VertexDone& event, SteadyTime now) {
  Step& step = steps_.step(event.vertex);
  (void)steps_.flush(step);
  if (step.outcome) return;  // fetched to find the Dockerfile, and now a part of the build itself
  ++done_;
  step.outcome = event.outcome;
  step.error = event.error;
  step.end = now;
  if (!step.started) step.start = now;
  if (event.outcome == VertexOutcome::kFailed) failures_.push_back(failed_step_block(step));
}

void TtyView::on(const LogChunk& event, SteadyTime /*now*/) {
  (void)steps_.add_output(steps_.step(event.vertex), event);
}

void TtyView::on(const Transfer& event, SteadyTime /*now*/) {
  (void)steps_.add_transfer(steps_.step(event.vertex), event);
}

void TtyView::on(const BuildWarning& event, SteadyTime /*now*/) {
  if (event.vertex) steps_.step(*event.vertex).warnings.push_back(warning_line(event));
}

void TtyView::on(const CacheMiss& event, SteadyTime /*now*/) {
  std::vector<std::string>& misses = steps_.step(event.vertex).misses;
  for (const std::string& reason : event.reasons) misses.push_back(one_line(reason));
}

std::string TtyView::colored(const char* color, std::string text) const {
  if (color_ == Color::kNo || color[0] == '\0') return text;
  return color + std::move(text) + std::string(kPlain);
}

// Text on the left, time on the right, cut to the terminal.
std::string TtyView::row(const std::string& text, double seconds, const TerminalSize& size,
                         const char* color) const {
  char time[32];
  (void)std::snprintf(time, sizeof time, " %.1fs", seconds);  // fits any time
  const std::string right = time;
  const size_t room = size.columns > right.size() + 1 ? size.columns - right.size() - 1 : 0;
  std::string left = cut_to_columns(text, room);
  left.append(room - columns_of(left), ' ');
  return colored(color, cut_to_columns(left + right, size.columns - 1));
}

std::string TtyView::header(const TerminalSize& size, SteadyTime now, size_t total,
                            const char* state) const {
  char text[96];
  (void)std::snprintf(text, sizeof text, "[+] Building %.1fs (%zu/%zu)%s",
                      seconds_between(start_, now), done_, total, state);  // fits any counts
  return cut_to_columns(text, size.columns - 1);
}

TtyView::Block TtyView::block(Step& step, const TerminalSize& size, SteadyTime now,
                              size_t log_lines) const {
  Block block{{}, step.outcome.has_value()};
  const double seconds = seconds_between(step.start, block.ended ? step.end : now);
  block.rows.push_back(
      row(std::string(" => ") + label_of(step) + step.name, seconds, size, color_of(step)));
  for (const std::string& warning : step.warnings)
    block.rows.push_back(row(" => WARN: " + warning, seconds, size, kYellow));
  for (const std::string& reason : step.misses)
    block.rows.push_back(
        colored(kYellow, cut_to_columns(" => => not cached: " + reason, size.columns - 1)));
  if (block.ended) return block;
  for (const Transfer& transfer : step.transfers)
    if (!transfer.complete)
      block.rows.push_back(row(" => => " + describe(transfer), seconds, size, kNone));
  add_output(block, step, size, log_lines);
  return block;
}

void TtyView::add_output(Block& block, Step& step, const TerminalSize& size,
                         size_t log_lines) const {
  std::vector<std::string> lines(step.last_lines.begin(), step.last_lines.end());
  for (std::string& line : steps_.unfinished_lines(step)) lines.push_back(std::move(line));
  const size_t first = lines.size() > log_lines ? lines.size() - log_lines : 0;
  for (size_t i = first; i < lines.size(); ++i)
    block.rows.push_back(colored(
        kDim, cut_to_columns(" => => # " + with_tabs_as_spaces(lines[i]), size.columns - 1)));
}

std::vector<TtyView::Block> TtyView::blocks(const TerminalSize& size, SteadyTime now,
                                            size_t log_lines) {
  std::vector<Block> all;
  for (const Digest& vertex : steps_.order())
    all.push_back(block(steps_.step(vertex), size, now, log_lines));
  return all;
}

std::vector<std::string> TtyView::live(const TerminalSize& size, SteadyTime now) {
  const size_t room = std::max<size_t>(size.rows, 3) - 2;  // the header, and where the cursor rests
  const auto height = [](const std::vector<Block>& all) {
    size_t rows = 0;
    for (const Block& block : all) rows += block.rows.size();
    return rows;
  };
  std::vector<Block> shown = blocks(size, now, log_lines_);
  for (size_t log_lines = log_lines_;; --log_lines) {
    for (size_t i = 0; i < shown.size() && height(shown) > room;)
      if (shown[i].ended)
        shown.erase(shown.begin() + static_cast<std::ptrdiff_t>(i));
      else
        ++i;
    if (height(shown) <= room || log_lines == 0) break;
    shown = blocks(size, now, log_lines - 1);
  }
  std::vector<std::string> rows;
  for (Block& block : shown)
    for (std::string& line : block.rows) rows.push_back(std::move(line));
  if (rows.size() > room) rows.erase(rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(room));
  rows.insert(rows.begin(), header(size, now, std::max(steps_.order().size(), added_), ""));
  return rows;
}

std::vector<std::string> TtyView::last(const TerminalSize& size, SteadyTime now, bool succeeded) {
  std::vector<std::string> rows = {
      header(size, now, steps_.order().size(), succeeded ? " FINISHED" : " FAILED")};
  for (Block& block : blocks(size, now, 0))
    for (std::string& line : block.rows) rows.push_back(std::move(line));
  return rows;
}

std::string TtyPainter::paint(const std::vector<std::string>& rows, const TerminalSize& size) {
  size_t up = 0;
  for (const size_t width : widths_)
    up += std::max<size_t>(1, (width + size.columns - 1) / size.columns);
  std::string frame = "\033[?25l";
  if (up > 0) frame += "\033[" + std::to_string(up) + "A";
  for (const std::string& line : rows) frame += "\r\033[K" + line + "\n";
  frame += "\033[J";
  widths_.clear();
  for (const std::string& line : rows) widths_.push_back(shown_columns(line));
  return frame;
}

std::string TtyPainter::paint_last(const std::vector<std::string>& rows, const TerminalSize& size) {
  std::string frame = paint(rows, size) + std::string(kShowCursor);
  widths_.clear();
  return frame;
}

}  // namespace kiln::cmd
