#include "frontend/dockerignore.h"

#include "base/path.h"
#include "base/strings.h"
#include "frontend/directives.h"

namespace kiln::dockerfile {
namespace {

std::string clean_pattern(std::string_view line) {
  const bool exception = line.front() == '!';
  if (exception) line = trim(line.substr(1));
  std::string text;
  if (!line.empty()) {
    text = clean_path(line);
    if (text.size() > 1 && text.front() == '/') text.erase(0, 1);
  }
  return exception ? "!" + text : text;
}

}  // namespace

std::vector<std::string> read_ignore_patterns(std::string_view text) {
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark)
    text.remove_prefix(kByteOrderMark.size());
  std::vector<std::string> patterns;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::string_view trimmed = trim(line);
    if (trimmed.empty() || line.front() == '#') continue;
    patterns.push_back(clean_pattern(trimmed));
  }
  return patterns;
}

Result<PatternMatcher> parse_dockerignore(std::string_view text, const std::string& file) {
  Result<PatternMatcher> matcher = PatternMatcher::compile(read_ignore_patterns(text));
  if (!matcher) return tl::unexpected(matcher.error().wrap(file));
  return matcher;
}

}  // namespace kiln::dockerfile
