#include "base/strings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/utf8.h"

namespace kiln {
namespace {

constexpr size_t kMaxDistance = 2;
constexpr std::string_view kHexDigits = "0123456789abcdef";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t levenshtein(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

void append_hex_byte(std::string& out, unsigned char byte) {
  out.append("\\x");
  out.push_back(kHexDigits[byte >> 4U]);
  out.push_back(kHexDigits[byte & 15U]);
}

// Code points that Go's unicode.IsPrint refuses: control, format, separators, private use.
// (Unassigned ones, which depend on the Unicode version, count as printing here.)
bool prints(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  static constexpr std::array kHidden = {
      Range{0x00, 0x1F},       Range{0x7F, 0xA0},       Range{0xAD, 0xAD},
      Range{0x600, 0x605},     Range{0x61C, 0x61C},     Range{0x6DD, 0x6DD},
      Range{0x70F, 0x70F},     Range{0x1680, 0x1680},   Range{0x180E, 0x180E},
      Range{0x2000, 0x200F},   Range{0x2028, 0x202F},   Range{0x205F, 0x206F},
      Range{0x3000, 0x3000},   Range{0xE000, 0xF8FF},   Range{0xFEFF, 0xFEFF},
      Range{0xFFF9, 0xFFFB},   Range{0xFFFE, 0xFFFF},   Range{0x110BD, 0x110BD},
      Range{0x1BCA0, 0x1BCA3}, Range{0x1D173, 0x1D17A}, Range{0xE0000, 0xE0FFF},
      Range{0xF0000, 0x10FFFF}};
  return std::none_of(kHidden.begin(), kHidden.end(),
                      [c](const Range& r) { return c >= r.first && c <= r.last; });
}

// The letter of Go's two-character escapes; 0 if the character has none.
char short_escape(char32_t c) {
  switch (c) {
    case '\a':
      return 'a';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\v':
      return 'v';
    case '"':
      return '"';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

void append_escaped(std::string& out, char32_t c) {
  if (const char letter = short_escape(c)) {
    out.push_back('\\');
    out.push_back(letter);
  } else if (c < 0x80) {
    append_hex_byte(out, static_cast<unsigned char>(c));
  } else {
    std::array<char, 16> text{};
    const int n = std::snprintf(text.data(), text.size(), c < 0x10000 ? "\\u%04x" : "\\U%08x",
                                static_cast<unsigned>(c));
    out.append(text.data(), static_cast<size_t>(n));
  }
}

// The binary multiplier of a size suffix ("", "b", "k", "kb", "kib", in lower case); 0 if there is
// no such suffix.
uint64_t multiplier(std::string_view suffix) {
  if (suffix.empty() || suffix == "b") return 1;
  const size_t power = std::string_view("kmgtp").find(suffix.front());
  const std::string_view rest = suffix.substr(1);
  if (power == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) return 0;
  return uint64_t{1} << (10 * (power + 1));
}

tl::unexpected<Error> bad_size(std::string_view text) {
  Error error(Code::kInvalidArgument, "invalid size " + quote(text));
  return tl::unexpected(error.hint("sizes are written as 512, 64k, 2MiB or 1.5g"));
}

}  // namespace

std::string closest_match(std::string_view word, std::span<const std::string> candidates) {
  if (word.empty()) return {};
  const auto alike = [word](const std::string& candidate) {
    return !candidate.empty() && lower(candidate.front()) == lower(word.front());
  };
  const std::string* best = nullptr;
  size_t best_distance = kMaxDistance + 1;
  for (const std::string& candidate : candidates) {
    if (candidate == word) return {};
    const size_t longer = std::max(candidate.size(), word.size());
    if (longer - std::min(candidate.size(), word.size()) > kMaxDistance) continue;
    const size_t distance = levenshtein(word, candidate);
    if (distance > best_distance) continue;
    // Of equally close ones, what begins alike: RNU is RUN rather than ENV.
    if (distance == best_distance && (best == nullptr || alike(*best) || !alike(candidate)))
      continue;
    best = &candidate;
    best_distance = distance;
  }
  return best != nullptr ? *best : std::string();
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string match = closest_match(word, candidates);
  return match.empty() ? std::string() : " (did you mean " + match + "?)";
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), upper);
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> fields;
  for (size_t end = text.find(separator); end != std::string_view::npos;
       end = text.find(separator)) {
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  fields.emplace_back(text);
  return fields;
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.append(separator);
    out.append(parts[i]);
  }
  return out;
}

bool equal_fold(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.bytes == 0) {
      append_hex_byte(out, static_cast<unsigned char>(text[0]));
    } else if (c.code_point == '"' || c.code_point == '\\' || !prints(c.code_point)) {
      append_escaped(out, c.code_point);
    } else {
      out.append(text.substr(0, c.bytes));
    }
    text.remove_prefix(std::max<size_t>(c.bytes, 1));
  }
  out.push_back('"');
  return out;
}

std::string printable(std::string_view text, KeepLines keep_lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const bool kept = keep_lines == KeepLines::kYes && (text[0] == '\n' || text[0] == '\t');
    // C1 controls (U+0080..U+009F) start escape sequences on many terminals, encoded or raw.
    const bool control = c.code_point < 0x20 || (c.code_point >= 0x7F && c.code_point < 0xA0);
    const size_t bytes = std::max<size_t>(c.bytes, 1);
    if (kept || (c.bytes > 0 && !control)) {
      out.append(text.substr(0, bytes));
    } else {
      for (const char byte : text.substr(0, bytes))
        append_hex_byte(out, static_cast<unsigned char>(byte));
    }
    text.remove_prefix(bytes);
  }
  return out;
}

std::string without_credentials(std::string_view text) {
  std::string out;
  while (true) {
    const size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) return out + std::string(text);
    const size_t start = scheme + 3;
    const size_t end = text.find_first_of("/?#\"' \t\n", start);
    const std::string_view authority = text.substr(start, end - start);
    const size_t at = authority.rfind('@');
    // A user's name alone is no secret to ssh, but may be one (a token) to http.
    const bool is_name = text.substr(0, scheme).ends_with("ssh") &&
                         authority.substr(0, at).find(':') == std::string_view::npos;
    out += text.substr(0, start);
    text.remove_prefix(at == std::string_view::npos || is_name ? start : start + at + 1);
  }
}

Result<uint64_t> parse_ram_bytes(std::string_view text) {
  const size_t digits_end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view digits = text.substr(0, digits_end);
  std::string_view suffix = text.substr(digits_end);
  if (suffix.size() > 1 && suffix.front() == ' ') suffix.remove_prefix(1);
  const uint64_t unit = multiplier(to_lower(suffix));
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (unit == 0 || digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return bad_size(text);
  uint64_t whole = 0;
  const auto exact = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
  if (exact.ec == std::errc() && exact.ptr == end) {
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(whole, unit, &bytes)) return bad_size(text);
    return bytes;
  }
  value *= static_cast<double>(unit);
  if (value >= 0x1p63) return bad_size(text);
  return static_cast<uint64_t>(value);
}

Result<int64_t> parse_int(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::kInvalidArgument, quote(text) + " is not a whole number");
  return value;
}

std::string human_bytes(uint64_t bytes) {
  static constexpr std::array<const char*, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  std::array<char, 32> text{};
  const int n = std::snprintf(text.data(), text.size(), "%.4g%s", value, kUnits.at(unit));
  return {text.data(), static_cast<size_t>(n)};
}

}  // namespace kiln
