#include "frontend/go_format.h"

#include "base/strings.h"

#include <cstdint>

namespace kiln::frontend {
namespace {

/// `value` / 10^digits without trailing zeros: (1500, 3) is "1.5".
std::string decimal(int64_t value, int digits) {
  std::string text = std::to_string(value);
  if (static_cast<int>(text.size()) <= digits) {
    text.insert(0, static_cast<size_t>(digits) + 1 - text.size(), '0');
  }
  if (digits == 0) return text;
  text.insert(text.size() - static_cast<size_t>(digits), ".");
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string encoded(uint32_t code) {
  const auto tail = [code](unsigned shift) {
    return static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x800) return {static_cast<char>(0xC0U | (code >> 6U)), tail(0)};
  if (code < 0x10000) return {static_cast<char>(0xE0U | (code >> 12U)), tail(6), tail(0)};
  return {static_cast<char>(0xF0U | (code >> 18U)), tail(12), tail(6), tail(0)};
}

}  // namespace

std::string go_list(const std::vector<std::string>& values) {
  return "[" + join(values, " ") + "]";
}

std::string go_quoted_list(const std::vector<std::string>& values) {
  std::vector<std::string> quoted;
  quoted.reserve(values.size());
  for (const std::string& value : values) quoted.push_back(quote(value));
  return go_list(quoted);
}

std::string go_quoted_rune(int value) {
  constexpr int kLast = 0x10FFFF;
  const bool surrogate = value >= 0xD800 && value < 0xE000;
  const int code = value < 0 || value > kLast || surrogate ? 0xFFFD : value;
  if (code == '\'') return "'\\''";
  if (code == '"') return "'\"'";
  std::string text = quote(encoded(static_cast<uint32_t>(code)));
  text.front() = text.back() = '\'';
  return text;
}

std::string go_duration(std::chrono::nanoseconds duration) {
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t ns = duration.count();
  if (ns == 0) return "0s";
  if (ns < 0) return "-" + go_duration(-duration);
  if (ns < 1000) return std::to_string(ns) + "ns";
  if (ns < 1'000'000) return decimal(ns, 3) + "µs";
  if (ns < kSecond) return decimal(ns, 6) + "ms";
  std::string out;
  const int64_t minutes = ns / kSecond / 60;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  return out + decimal(ns % (60 * kSecond), 9) + "s";
}

}  // namespace kiln::frontend
