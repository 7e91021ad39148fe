#include "frontend/line_reader.h"

#include <algorithm>

#include "base/strings.h"
#include "frontend/words.h"

namespace kiln::dockerfile {
namespace {

constexpr size_t kMaxLineBytes = 65535;  // without its "\n"

std::string_view trim_line_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

std::string_view trim_left(std::string_view line) {
  const size_t first = line.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? std::string_view() : line.substr(first);
}

bool is_comment(std::string_view line) {
  line = trim_left(line);
  return !line.empty() && line.front() == '#';
}

}  // namespace

LineReader::LineReader(std::string_view text) : rest_(text) {
  if (rest_.substr(0, kByteOrderMark.size()) == kByteOrderMark)
    rest_.remove_prefix(kByteOrderMark.size());
}

LineReader::LineReader(std::string_view text, char escape)
    : rest_(text), escape_(escape), with_directives_(false) {}

std::optional<std::string_view> LineReader::read_line() {
  if (rest_.empty() || overlong_) return std::nullopt;
  const size_t end = rest_.find('\n');
  const std::string_view line = rest_.substr(0, end == std::string_view::npos ? end : end + 1);
  rest_.remove_prefix(line.size());
  ++line_number_;
  if (line.size() - (end == std::string_view::npos ? 0 : 1) > kMaxLineBytes) {
    overlong_ = true;
    problems_.push_back({line_number_, "dockerfile line greater than max allowed size of " +
                                           std::to_string(kMaxLineBytes)});
    return std::nullopt;
  }
  return line;
}

void LineReader::read_directive(std::string_view line) {
  in_directives_ = false;
  if (!with_directives_ || directives_.done()) return;
  const auto found = directives_.read(line);
  if (!found) {
    problems_.push_back({line_number_, found.error().message()});
    in_directives_ = true;
    return;
  }
  if (!*found) return;
  in_directives_ = true;
  if ((*found)->key != "escape") return;
  const std::string& value = (*found)->value;
  if (value == "`" || value == "\\") {
    escape_ = value.front();
  } else {
    problems_.push_back(
        {line_number_, "invalid escape token '" + value + "' does not match ` or \\"});
  }
}

void LineReader::collect_comment(std::string_view line) {
  const std::string_view text = trim(line.substr(1));
  if (in_directives_ || text.empty()) {
    comments_ = {};
    return;
  }
  const auto pair = split_directive(text);
  if (pair && pair->key == "check") {
    comments_.check = pair->value;
    comments_.check_line = line_number_;
  } else {
    comments_.lines.emplace_back(text);
  }
}

// A continuation is the escape character as the last non-blank of a line, unless another one stands
// directly before it. Upstream looks no further back either: of three in a row the last does not
// continue the line.
bool LineReader::strip_continuation(std::string_view& line) const {
  const size_t last = line.find_last_not_of(" \t");
  if (last == std::string_view::npos || line[last] != escape_) return false;
  if (last > 0 && line[last - 1] == escape_) return false;
  line = line.substr(0, last);
  return true;
}

std::optional<LogicalLine> LineReader::next() {
  while (const auto raw = read_line()) {
    std::string_view text = trim_left(trim_line_end(*raw));
    read_directive(text);
    if (is_comment(text)) {
      collect_comment(text);
      continue;
    }
    if (text.empty()) {
      comments_ = {};
      continue;
    }
    LogicalLine line;
    line.start = line_number_;
    line.comments = std::move(comments_);
    comments_ = {};
    const bool continues = strip_continuation(text);
    line.text = text;
    if (continues) append_continuations(line);
    if (overlong_) return std::nullopt;
    line.end = line_number_;
    return line;
  }
  return std::nullopt;
}

void LineReader::append_continuations(LogicalLine& line) {
  while (const auto raw = read_line()) {
    std::string_view text = trim_line_end(*raw);
    if (is_comment(text)) continue;
    if (trim_left(text).empty()) {
      line.empty_continuation = true;
      continue;
    }
    const bool continues = strip_continuation(text);
    line.text.append(text);
    if (!continues) return;
  }
}

bool LineReader::read_body(Heredoc& heredoc) {
  while (const auto raw = read_line()) {
    std::string_view text = trim_line_end(*raw);
    if (heredoc.chomp) text.remove_prefix(std::min(text.find_first_not_of('\t'), text.size()));
    if (text == heredoc.name) return true;
    heredoc.body.append(*raw);
  }
  return false;
}

}  // namespace kiln::dockerfile
