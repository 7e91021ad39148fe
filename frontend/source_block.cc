#include "frontend/source_block.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

constexpr std::string_view kRule = "--------------------\n";
constexpr int kShownLines = 12;  // of those that are marked
constexpr size_t kShownBytes = 200;

/// Lines as Docker counts them: what follows the last newline is one more, even if it is empty.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

enum class Mark : uint8_t { kNo, kYes };

std::string shown(int number, std::string_view content, Mark mark) {
  char head[32];
  (void)std::snprintf(head, sizeof head, " %3d | %s ", number, mark == Mark::kYes ? ">>>" : "   ");
  const std::string safe = without_credentials(content);
  std::string line = head + printable(safe.substr(0, kShownBytes), KeepLines::kYes);
  if (safe.size() > kShownBytes) line += "...";
  line.resize(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string source_block(const SourceRange& where, const std::string& file, std::string_view text) {
  const std::vector<std::string_view> lines = lines_of(text);
  const auto count = static_cast<int>(lines.size());
  if (where.first_line < 1 || where.first_line > count) return "";
  const int first = where.first_line;
  const int last = std::clamp(where.last_line, first, count);
  const int around = first == last ? 2 : 1;
  const bool abridged = last - first >= kShownLines;
  std::string out = printable(file) + ":" + std::to_string(first) + "\n";
  out += kRule;
  for (int number = std::max(1, first - around); number <= std::min(count, last + around);
       ++number) {
    if (abridged && number == first + kShownLines / 2) {
      out += "     | ...\n";
      number = last - kShownLines / 2 + 1;
    }
    const bool marked = first <= number && number <= last;
    out += shown(number, lines[static_cast<size_t>(number - 1)], marked ? Mark::kYes : Mark::kNo);
  }
  out += kRule;
  return out;
}

}  // namespace kiln::dockerfile
