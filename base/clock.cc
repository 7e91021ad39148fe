#include "base/clock.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>

#include "base/strings.h"

namespace kiln {
namespace {

using std::chrono::nanoseconds;
using Instant = std::chrono::sys_time<nanoseconds>;

class SystemClock final : public Clock {
 public:
  Instant now() const override { return std::chrono::system_clock::now(); }
};

// Takes exactly `width` digits from the front of `text`.
std::optional<int> take_number(std::string_view& text, size_t width) {
  if (text.size() < width) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + width, value);
  if (error != std::errc() || end != text.data() + width || text.front() == '-')
    return std::nullopt;
  text.remove_prefix(width);
  return value;
}

bool take_char(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// Digits after a decimal point, as a count of 1e-9; digits beyond the ninth are dropped. nullopt if
// there are none.
std::optional<int64_t> take_fraction(std::string_view& text) {
  int64_t value = 0;
  size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits)
    if (digits < 9) value = value * 10 + (text[digits] - '0');
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  for (; digits < 9; ++digits) value *= 10;
  return value;
}

std::optional<std::chrono::sys_seconds> take_date_time(std::string_view& text) {
  const auto year = take_number(text, 4);
  if (!year || !take_char(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take_char(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || !take_char(text, 'T')) return std::nullopt;
  const auto hour = take_number(text, 2);
  if (!hour || !take_char(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || !take_char(text, ':')) return std::nullopt;
  const auto second = take_number(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

// "Z", "+02:00" or "-07:30".
std::optional<std::chrono::minutes> take_zone(std::string_view& text) {
  if (take_char(text, 'Z')) return std::chrono::minutes(0);
  const bool west = text.starts_with('-');
  if (!west && !text.starts_with('+')) return std::nullopt;
  text.remove_prefix(1);
  const auto hours = take_number(text, 2);
  if (!hours || !take_char(text, ':')) return std::nullopt;
  const auto minutes = take_number(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const std::chrono::minutes offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return west ? -offset : offset;
}

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};
// Longer names first where one is the start of another.
constexpr std::array kUnits = {Unit{"ns", 1},
                               Unit{"us", 1'000},
                               Unit{"\u00b5s", 1'000},
                               Unit{"\u03bcs", 1'000},
                               Unit{"ms", 1'000'000},
                               Unit{"s", 1'000'000'000},
                               Unit{"m", 60'000'000'000},
                               Unit{"h", 3'600'000'000'000}};

std::optional<int64_t> take_unit(std::string_view& text) {
  for (const Unit& unit : kUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    return unit.nanoseconds;
  }
  return std::nullopt;
}

// One "1.5h" of a duration, in nanoseconds.
std::optional<int64_t> take_span(std::string_view& text) {
  uint64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  const bool has_whole = end != text.data();
  if (has_whole && error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  int64_t fraction = 0;
  if (take_char(text, '.')) {
    const auto digits = take_fraction(text);
    if (!digits && !has_whole) return std::nullopt;
    fraction = digits.value_or(0);
  } else if (!has_whole) {
    return std::nullopt;
  }
  const auto unit = take_unit(text);
  int64_t value = 0;
  if (!unit || whole > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
      __builtin_mul_overflow(static_cast<int64_t>(whole), *unit, &value))
    return std::nullopt;
  const auto part =
      static_cast<int64_t>(static_cast<double>(fraction) * 1e-9 * static_cast<double>(*unit));
  if (__builtin_add_overflow(value, part, &value)) return std::nullopt;
  return value;
}

}  // namespace

const Clock& Clock::system() {
  static const SystemClock kClock;
  return kClock;
}

std::string format_rfc3339(Instant time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss<nanoseconds> clock(time - days);
  std::array<char, 64> buffer{};
  const int n = std::snprintf(
      buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%09d",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
      static_cast<int>(clock.subseconds().count()));
  std::string text(buffer.data(), static_cast<size_t>(n));
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text + "Z";
}

Result<Instant> parse_rfc3339(std::string_view text) {
  std::string_view rest = text;
  const auto fail_with = [&](const char* why) {
    return fail(Code::kInvalidArgument, quote(text) + why);
  };
  const auto seconds = take_date_time(rest);
  if (!seconds) return fail_with(" is not an RFC 3339 time");
  int64_t fraction = 0;
  if (take_char(rest, '.')) {
    const auto digits = take_fraction(rest);
    if (!digits) return fail_with(" is not an RFC 3339 time");
    fraction = *digits;
  }
  const auto zone = take_zone(rest);
  if (!zone || !rest.empty()) return fail_with(" is not an RFC 3339 time");
  int64_t total = (*seconds - *zone).time_since_epoch().count();
  if (__builtin_mul_overflow(total, int64_t{1'000'000'000}, &total) ||
      __builtin_add_overflow(total, fraction, &total))
    return fail_with(" lies outside the years 1678 to 2261");
  return Instant(nanoseconds(total));
}

Result<nanoseconds> parse_duration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return nanoseconds(0);
  int64_t total = 0;
  bool valid = !rest.empty();
  while (valid && !rest.empty()) {
    const auto part = take_span(rest);
    valid = part && !__builtin_add_overflow(total, *part, &total);
  }
  if (!valid) {
    Error error(Code::kInvalidArgument, quote(text) + " is not a duration");
    return tl::unexpected(error.hint("durations are written as 30s, 1m30s or 500ms"));
  }
  return nanoseconds(negative ? -total : total);
}

}  // namespace kiln
