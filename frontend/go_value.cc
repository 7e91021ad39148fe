#include "frontend/go_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <string>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};
constexpr std::array kUnits = {Unit{"ns", 1},
                               Unit{"us", 1'000},
                               Unit{"\xC2\xB5s", 1'000},  // U+00B5, the micro sign
                               Unit{"\xCE\xBCs", 1'000},  // U+03BC, the Greek letter
                               Unit{"ms", 1'000'000},
                               Unit{"s", 1'000'000'000},
                               Unit{"m", 60'000'000'000},
                               Unit{"h", 3'600'000'000'000}};

bool is_decimal(char c) {
  return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_decimal);
  const std::string_view digits = text.substr(0, static_cast<size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

tl::unexpected<Error> bad_duration(std::string_view what, std::string_view text) {
  return fail(Code::kInvalidArgument, "time: " + std::string(what) + " duration " + quote(text));
}

// One "12.5ms" off the front of `rest`, added to `*total`.
Status add_part(std::string_view whole, std::string_view& rest, int64_t* total) {
  const std::string_view digits = take_digits(rest);
  std::string_view fraction;
  if (!rest.empty() && rest.front() == '.') {
    rest.remove_prefix(1);
    fraction = take_digits(rest);
  }
  if (digits.empty() && fraction.empty()) return bad_duration("invalid", whole);
  const auto unit_end =
      std::find_if(rest.begin(), rest.end(), [](char c) { return c == '.' || is_decimal(c); });
  const std::string_view name = rest.substr(0, static_cast<size_t>(unit_end - rest.begin()));
  if (name.empty()) return bad_duration("missing unit in", whole);
  rest.remove_prefix(name.size());
  const auto* unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == name; });
  if (unit == kUnits.end()) return bad_duration("unknown unit " + quote(name) + " in", whole);
  int64_t value = 0;
  if (!digits.empty()) {
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (parsed.ec != std::errc()) return bad_duration("invalid", whole);
  }
  if (__builtin_mul_overflow(value, unit->nanoseconds, &value))
    return bad_duration("invalid", whole);
  int64_t scale = unit->nanoseconds;
  for (const char c : fraction) {
    scale /= 10;
    value += (c - '0') * scale;
  }
  if (__builtin_add_overflow(*total, value, total)) return bad_duration("invalid", whole);
  return {};
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest.front() == '-';
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return bad_duration("invalid", text);
  int64_t total = 0;
  while (!rest.empty()) KILN_TRY(add_part(text, rest, &total));
  return std::chrono::nanoseconds(negative ? -total : total);
}

Result<bool> parse_bool(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  if (std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end()) return false;
  return fail(Code::kInvalidArgument, "invalid boolean " + quote(text));
}

Result<uint32_t> parse_uint32(std::string_view text, int base) {
  uint32_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return fail(Code::kInvalidArgument, "invalid number " + quote(text));
  }
  return value;
}

}  // namespace kiln::dockerfile
