#include "cmd/terminal_text.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace kiln::cmd {
namespace {

struct Range {
  char32_t first, last;
};

// Unicode's East Asian Width "W" and "F", joined where what lies between is unassigned or rare.
constexpr std::array<Range, 19> kWide{{{0x1100, 0x115F},
                                       {0x231A, 0x231B},
                                       {0x23E9, 0x23EC},
                                       {0x2E80, 0x303E},
                                       {0x3041, 0x33FF},
                                       {0x3400, 0x4DBF},
                                       {0x4E00, 0xA4CF},
                                       {0xA960, 0xA97F},
                                       {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF},
                                       {0xFE30, 0xFE6F},
                                       {0xFF01, 0xFF60},
                                       {0xFFE0, 0xFFE6},
                                       {0x17000, 0x18CFF},
                                       {0x1B000, 0x1B2FF},
                                       {0x1F300, 0x1F64F},
                                       {0x1F680, 0x1F6FF},
                                       {0x1F900, 0x1FAFF},
                                       {0x20000, 0x3FFFD}}};
constexpr std::array<Range, 8> kCombining{{{0x0300, 0x036F},
                                           {0x0483, 0x0489},
                                           {0x0591, 0x05BD},
                                           {0x200B, 0x200F},
                                           {0x20D0, 0x20FF},
                                           {0xFE00, 0xFE0F},
                                           {0xFE20, 0xFE2F},
                                           {0xE0100, 0xE01EF}}};

template <size_t N>
bool in(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const Range& range) { return c >= range.first && c <= range.last; });
}

struct Shown {
  size_t bytes, columns;
};

// Of the first character; a byte that is no UTF-8 takes a column, as what terminals show for it.
Shown first_of(std::string_view text) {
  const Utf8Char c = decode_utf8(text);
  if (c.bytes <= 1) return {1, 1};
  if (in(kCombining, c.code_point)) return {c.bytes, 0};
  return {c.bytes, in(kWide, c.code_point) ? size_t{2} : size_t{1}};
}

// Length of the complete sequence that `text` begins with; 0: there is none.
size_t sequence_length(std::string_view text) {
  if (text.size() < 2 || text[0] != '\x1b') return 0;
  if (text[1] == '[') {
    size_t at = 2;
    while (at < text.size() && text[at] >= 0x20 && text[at] <= 0x3F) ++at;
    return at < text.size() && text[at] >= 0x40 && text[at] <= 0x7E ? at + 1 : 0;
  }
  if (text[1] != ']') return 0;
  const size_t end = text.find_first_of("\a\x1b", 2);
  if (end == std::string_view::npos) return 0;
  if (text[end] == '\a') return end + 1;
  return text.substr(end).starts_with("\x1b\\") ? end + 2 : 0;
}

}  // namespace

size_t columns_of(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Shown shown = first_of(text);
    columns += shown.columns;
    text.remove_prefix(shown.bytes);
  }
  return columns;
}

std::string cut_to_columns(std::string_view text, size_t columns) {
  size_t taken = 0, seen = 0;
  while (taken < text.size()) {
    const Shown shown = first_of(text.substr(taken));
    if (seen + shown.columns > columns) break;
    seen += shown.columns;
    taken += shown.bytes;
  }
  return std::string(text.substr(0, taken));
}

std::string with_tabs_as_spaces(std::string_view text) {
  constexpr size_t kTab = 8;
  std::string out;
  for (size_t tab = text.find('\t'); tab != std::string_view::npos; tab = text.find('\t')) {
    out += text.substr(0, tab);
    out.append(kTab - columns_of(out) % kTab, ' ');
    text.remove_prefix(tab + 1);
  }
  return out += text;
}

std::string without_control_sequences(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t escape = std::min(text.find('\x1b'), text.size());
    out += text.substr(0, escape);
    text.remove_prefix(escape);
    if (text.empty()) break;
    const size_t length = sequence_length(text);
    if (length == 0) out += text.front();
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

}  // namespace kiln::cmd
