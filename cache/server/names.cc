#include "cache/server/names.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace kiln::server {
namespace {

constexpr size_t kMaxNameLength = 255, kMaxTagLength = 128, kUploadIdLength = 32;
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_lower_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_separator(std::string_view text) {
  if (text == "." || text == "_" || text == "__") return true;
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '-'; });
}

bool is_name_component(std::string_view text) {
  if (text.empty() || !is_lower_alphanumeric(text.front()) || !is_lower_alphanumeric(text.back()))
    return false;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && !is_lower_alphanumeric(text[end])) ++end;
    if (end > at && !is_separator(text.substr(at, end - at))) return false;
    at = std::max(end, at + 1);
  }
  return true;
}

std::string replaced(std::string_view text, char from, char to) {
  std::string result(text);
  std::replace(result.begin(), result.end(), from, to);
  return result;
}

}  // namespace

bool is_repository_name(std::string_view name) {
  if (name.size() > kMaxNameLength) return false;
  while (true) {
    const size_t slash = name.find('/');
    if (!is_name_component(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

bool is_tag(std::string_view tag) {
  const auto is_word = [](char c) {
    return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (tag.empty() || tag.size() > kMaxTagLength || !is_word(tag.front())) return false;
  return std::all_of(tag.begin(), tag.end(),
                     [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool is_upload_id(std::string_view id) {
  return id.size() == kUploadIdLength && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<std::string> random_name() {
  std::array<unsigned char, kUploadIdLength / 2> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail_errno("getrandom", "name");
  std::string name;
  for (const unsigned char byte : bytes) {
    name += kHexDigits[byte >> 4U];
    name += kHexDigits[byte & 15U];
  }
  return name;
}

std::string repository_component(std::string_view name) {
  return replaced(name, '/', '+');
}

std::string repository_of_component(std::string_view component) {
  return replaced(component, '+', '/');
}

// Backtracks to the last star only, and from a `*` that met a "/" to the last `**`: linear in
// practice, quadratic at worst.
bool matches_repository(std::string_view pattern, std::string_view name) {
  constexpr size_t kNone = std::string_view::npos;
  size_t p = 0, n = 0, star = kNone, star_name = 0, deep = kNone, deep_name = 0;
  while (true) {
    if (pattern.substr(p).starts_with("**")) {
      p += 2;
      deep = p;
      deep_name = n;
      star = kNone;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_name = n;
    } else if (n == name.size() && p == pattern.size()) {
      return true;
    } else if (n < name.size() && p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != kNone && star_name < name.size() && name[star_name] != '/') {
      p = star;
      n = ++star_name;
    } else if (deep != kNone && deep_name < name.size()) {
      p = deep;
      n = ++deep_name;
      star = kNone;
    } else {
      return false;
    }
  }
}

}  // namespace kiln::server
