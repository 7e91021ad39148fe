// What becomes of an image's layers while it is pulled or pushed, as docker shows it: a line each,
// "9824c27679d3: Pushed". On a terminal a line is written over as it changes, with its bytes;
// elsewhere only its last word is printed.
#pragma once

#include "oci/descriptor.h"

#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace kiln::cmd {

enum class LineStyle : uint8_t {
  kNone,      // nothing: --quiet
  kLines,     // what has ended
  kTerminal,  // what is under way, too
};

/// Thread-safe.
class LayerLines {
 public:
  LayerLines(LineStyle style, std::FILE* out) : style_(style), out_(out) {}
  /// Under way: "Pushing 12.3MB/45MB".
  void progress(const oci::Descriptor& layer, const std::string& doing, uint64_t done);
  /// At an end: "Pushed".
  void end(const oci::Descriptor& layer, const std::string& word);

 private:
  struct Line {
    std::string id, text;
  };
  void show(const std::string& id, const std::string& text);
  void redraw();

  const LineStyle style_;
  std::FILE* const out_;
  std::mutex mutex_;  // all below
  std::vector<Line> lines_;
  size_t drawn_ = 0;  // lines on the terminal
  std::chrono::steady_clock::time_point next_ = {};
};

/// By --quiet and what standard output is.
LineStyle line_style(bool quiet);

}  // namespace kiln::cmd
