#include "cmd/layer_lines.h"

#include <unistd.h>

#include <algorithm>

#include "base/strings.h"

namespace kiln::cmd {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{100};

std::string line_id(const oci::Descriptor& layer) {
  return layer.digest.hex().substr(0, 12);
}

}  // namespace

LineStyle line_style(bool quiet) {
  if (quiet) return LineStyle::kNone;
  return ::isatty(STDOUT_FILENO) == 1 ? LineStyle::kTerminal : LineStyle::kLines;
}

void LayerLines::progress(const oci::Descriptor& layer, const std::string& doing, uint64_t done) {
  if (style_ != LineStyle::kTerminal) return;
  const std::lock_guard hold(mutex_);
  show(line_id(layer), doing + " " + human_bytes(done) + "/" + human_bytes(layer.size));
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + kRedrawEvery;
  redraw();
}

void LayerLines::end(const oci::Descriptor& layer, const std::string& word) {
  if (style_ == LineStyle::kNone) return;
  const std::lock_guard hold(mutex_);
  if (style_ == LineStyle::kTerminal) {
    show(line_id(layer), word);
    redraw();
    return;
  }
  // A closed standard output shows in the shell, not here.
  (void)std::fprintf(out_, "%s: %s\n", line_id(layer).c_str(), word.c_str());
}

void LayerLines::show(const std::string& id, const std::string& text) {
  const auto at = std::ranges::find_if(lines_, [&](const Line& line) { return line.id == id; });
  if (at != lines_.end())
    at->text = text;
  else
    lines_.push_back({id, text});
}

void LayerLines::redraw() {
  std::string text = drawn_ > 0 ? "\x1b[" + std::to_string(drawn_) + "A" : std::string();
  for (const Line& line : lines_) text += "\x1b[2K" + line.id + ": " + line.text + "\n";
  drawn_ = lines_.size();
  (void)std::fputs(text.c_str(), out_);  // as above
  (void)std::fflush(out_);
}

}  // namespace kiln::cmd
