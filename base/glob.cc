#include "base/glob.h"

#include <cstddef>

#include "base/utf8.h"

namespace kiln {
namespace {

struct Rune {
  char32_t value = 0;
  size_t bytes = 0;
  bool valid = false;
};

// The first character; an invalid byte counts as one character that equals no other.
Rune first_rune(std::string_view text) {
  if (text.empty()) return {};
  const Utf8Char c = decode_utf8(text);
  if (c.bytes == 0) return {0xFFFD, 1, false};
  return {c.code_point, c.bytes, true};
}

// Reads one end of a class's range at `*at`. False: bad syntax.
bool read_class_rune(std::string_view pattern, size_t* at, char32_t* out) {
  if (*at >= pattern.size() || pattern[*at] == '-' || pattern[*at] == ']') return false;
  if (pattern[*at] == '\\' && ++*at >= pattern.size()) return false;
  const Rune rune = first_rune(pattern.substr(*at));
  if (!rune.valid) return false;
  *out = rune.value;
  *at += rune.bytes;
  return *at < pattern.size();
}

struct ClassResult {
  bool valid = false;
  bool matched = false;
  size_t end = 0;  // after "]"
};

// pattern[at] is "[". Is `c` in the class?
ClassResult match_class(std::string_view pattern, size_t at, char32_t c) {
  ++at;
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool in_class = false;
  for (int ranges = 0;; ++ranges) {
    if (at < pattern.size() && pattern[at] == ']' && ranges > 0) break;
    char32_t low = 0;
    if (!read_class_rune(pattern, &at, &low)) return {};
    char32_t high = low;
    if (pattern[at] == '-') {
      ++at;
      if (!read_class_rune(pattern, &at, &high)) return {};
    }
    in_class = in_class || (low <= c && c <= high);
  }
  return {true, in_class != negated, at + 1};
}

// How far one pattern element reaches in the pattern and in the name; `matched` false: it does not
// match there.
struct Element {
  bool matched = false;
  size_t pattern_bytes = 0;
  size_t name_bytes = 0;
};

Element match_element(std::string_view pattern, std::string_view name) {
  if (name.empty()) return {};
  switch (pattern[0]) {
    case '?': {
      return {name[0] != '/', 1, first_rune(name).bytes};
    }
    case '[': {
      const Rune rune = first_rune(name);
      const ClassResult result = match_class(pattern, 0, rune.value);
      return {result.matched, result.end, rune.bytes};
    }
    case '\\':
      return {pattern[1] == name[0], 2, 1};
    default:
      return {pattern[0] == name[0], 1, 1};
  }
}

// The pattern is known to be valid. On a mismatch only the last star is extended: an earlier one
// could not reach further than it, because neither crosses "/".
bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = std::string_view::npos;
  size_t star_name = 0;
  while (true) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_name = n;
      continue;
    }
    if (p == pattern.size() && n == name.size()) return true;
    if (p < pattern.size()) {
      const Element element = match_element(pattern.substr(p), name.substr(n));
      if (element.matched) {
        p += element.pattern_bytes;
        n += element.name_bytes;
        continue;
      }
    }
    if (star == std::string_view::npos || star_name >= name.size() || name[star_name] == '/') {
      return false;
    }
    p = star;
    n = ++star_name;
  }
}

}  // namespace

Status check_glob(std::string_view pattern) {
  const auto bad = [] { return fail(Code::kInvalidArgument, "syntax error in pattern"); };
  for (size_t at = 0; at < pattern.size();) {
    if (pattern[at] == '\\') {
      if (at + 1 == pattern.size()) return bad();
      at += 2;
    } else if (pattern[at] == '[') {
      const ClassResult result = match_class(pattern, at, 0);
      if (!result.valid) return bad();
      at = result.end;
    } else {
      ++at;
    }
  }
  return {};
}

Result<bool> glob_match(std::string_view pattern, std::string_view name) {
  KILN_TRY(check_glob(pattern));
  return matches(pattern, name);
}

bool has_wildcard(std::string_view pattern) {
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '\\') {
      ++at;
    } else if (pattern[at] == '*' || pattern[at] == '?' || pattern[at] == '[') {
      return true;
    }
  }
  return false;
}

}  // namespace kiln
