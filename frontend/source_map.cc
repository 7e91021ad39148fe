#include "frontend/source_map.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

constexpr int kShownLines = 12;
constexpr size_t kShownBytes = 200;

}  // namespace

SourceMap::SourceMap(std::string file, std::string text)
    : file_(std::move(file)), text_(std::move(text)) {
  for (size_t at = 0; at < text_.size();) {
    starts_.push_back(at);
    const size_t end = text_.find('\n', at);
    at = end == std::string::npos ? text_.size() : end + 1;
  }
}

std::string_view SourceMap::line(int number) const {
  if (number < 1 || number > line_count()) return {};
  const size_t start = starts_[static_cast<size_t>(number) - 1];
  std::string_view line = std::string_view(text_).substr(start);
  line = line.substr(0, line.find('\n'));
  while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

void SourceMap::append_line(std::string& out, int number, int width, std::string_view mark) const {
  const std::string digits = std::to_string(number);
  std::string_view content = line(number);
  const bool cut = content.size() > kShownBytes;
  if (cut) content = content.substr(0, kShownBytes);
  out.append(mark)
      .append(static_cast<size_t>(width) - digits.size(), ' ')
      .append(digits)
      .append(" | ")
      .append(printable(content, KeepLines::kYes))
      .append(cut ? "..." : "")
      .append("\n");
}

std::string SourceMap::excerpt(const SourceRange& range, int context) const {
  const int marked_first = range.first_line;
  const int marked_last = std::min(std::max(range.last_line, marked_first), line_count());
  if (marked_first < 1 || marked_first > line_count()) return {};
  const int first = std::max(1, marked_first - context);
  const int last = std::min(line_count(), marked_last + context);
  const int width = static_cast<int>(std::to_string(last).size());
  const bool abridged = marked_last - marked_first + 1 > kShownLines;
  const int gap_first = marked_first + kShownLines / 2;
  const int gap_last = marked_last - kShownLines / 2;
  std::string out;
  for (int number = first; number <= last; ++number) {
    if (abridged && number == gap_first) {
      out.append("   ").append(static_cast<size_t>(width), ' ').append(" ...\n");
      number = gap_last;
      continue;
    }
    const bool marked = number >= marked_first && number <= marked_last;
    append_line(out, number, width, marked ? " > " : "   ");
  }
  return out;
}

}  // namespace kiln::dockerfile
