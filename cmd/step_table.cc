#include "cmd/step_table.h"

#include "base/strings.h"
#include "cmd/terminal_text.h"

namespace kiln::cmd {

Step& StepTable::step(const Digest& vertex, const std::string& name) {
  Step& step = steps_[vertex];
  if (step.number == 0) {
    order_.push_back(vertex);
    step.number = static_cast<int>(order_.size());
  }
  if (step.name.empty()) step.name = one_line(name);
  return step;
}

std::string StepTable::clean(std::string_view line) const {
  while (line.ends_with('\r')) line.remove_suffix(1);
  if (const size_t redrawn = line.rfind('\r'); redrawn != std::string_view::npos)
    line.remove_prefix(redrawn + 1);
  return printable(without_control_sequences(line), KeepLines::kYes);
}

std::vector<std::string> StepTable::add_output(Step& step, const LogChunk& chunk) {
  std::string& partial = step.partial[chunk.stream == 2 ? 1 : 0];
  partial += chunk.bytes;
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end = partial.find('\n'); end != std::string::npos; end = partial.find('\n', begin)) {
    lines.push_back(clean(std::string_view(partial).substr(begin, end - begin)));
    begin = end + 1;
  }
  partial.erase(0, begin);
  constexpr size_t kLongestLine = 64U
                                  << 10U;  // a step that prints no "\n" must not grow without bound
  if (partial.size() > kLongestLine) {
    lines.push_back(clean(partial));
    partial.clear();
  }
  for (const std::string& line : lines) {
    step.last_lines.push_back(line);
    if (step.last_lines.size() > kKeptLines) step.last_lines.pop_front();
  }
  return lines;
}

std::vector<std::string> StepTable::flush(Step& step) {
  std::vector<std::string> lines;
  for (std::string& partial : step.partial) {
    if (partial.empty()) continue;
    lines.push_back(clean(partial));
    step.last_lines.push_back(lines.back());
    partial.clear();
  }
  return lines;
}

std::vector<std::string> StepTable::unfinished_lines(const Step& step) const {
  std::vector<std::string> lines;
  for (const std::string& partial : step.partial)
    if (!partial.empty()) lines.push_back(clean(partial));
  return lines;
}

Transfer& StepTable::add_transfer(Step& step, const Transfer& transfer) {
  for (Transfer& known : step.transfers)
    if (known.what == transfer.what) return known = transfer;
  return step.transfers.emplace_back(transfer);
}

double seconds_between(SteadyTime from, SteadyTime to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string one_line(const std::string& name) {
  std::string text = name;
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  return printable(text);
}

}  // namespace kiln::cmd
