// What a renderer remembers of each vertex: its number in order of appearance, name, times and last
// lines. Not thread-safe.
#pragma once

#include "base/progress.h"

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace kiln::cmd {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Step {
  int number = 0;
  std::string name;
  bool started = false;
  SteadyTime start{}, end{};
  std::optional<VertexOutcome> outcome;
  std::optional<Error> error;
  std::string partial[2];              // of stdout, stderr: a line not yet ended
  std::deque<std::string> last_lines;  // at most StepTable::kKeptLines
  std::vector<Transfer> transfers;     // the latest of each name
  std::vector<std::string> warnings;   // ready to be shown
  std::vector<std::string> misses;     // why it was not cached
};

class StepTable {
 public:
  static constexpr size_t kKeptLines = 60;

  /// The vertex's step, made on first sight.
  Step& step(const Digest& vertex, const std::string& name = {});
  /// Splits a chunk into whole lines (colors taken out, other control bytes made printable, "\r"
  /// progress reduced to its last state), keeps the last ones in the step and returns the new ones.
  std::vector<std::string> add_output(Step& step, const LogChunk& chunk);
  /// A last line without "\n", if there is one.
  std::vector<std::string> flush(Step& step);
  /// What is printed of lines not yet ended, such as a progress bar: one each of stdout and stderr.
  std::vector<std::string> unfinished_lines(const Step& step) const;
  Transfer& add_transfer(Step& step, const Transfer& transfer);
  const std::vector<Digest>& order() const { return order_; }

 private:
  std::string clean(std::string_view line) const;
  std::unordered_map<Digest, Step> steps_;
  std::vector<Digest> order_;
};

double seconds_between(SteadyTime from, SteadyTime to);
/// A vertex name on one line, without control bytes.
std::string one_line(const std::string& name);

}  // namespace kiln::cmd
