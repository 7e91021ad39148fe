#include "base/clock.h"

#include <gtest/gtest.h>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using namespace std::chrono_literals;

TEST(ClockTest, TimesReadBackAsGoPrintsThem) {
  for (const char* text :
       {"1970-01-01T00:00:00Z", "2026-01-02T03:04:05.1Z", "2024-02-29T23:59:59.999999999Z",
        "1969-12-31T23:59:59.5Z", "2261-12-31T23:59:59Z"})
    EXPECT_EQ(format_rfc3339(must(parse_rfc3339(text))), text);
}

TEST(ClockTest, OffsetsAndLongFractionsAreNormalised) {
  EXPECT_EQ(format_rfc3339(must(parse_rfc3339("2026-01-01T00:30:00+02:00"))),
            "2025-12-31T22:30:00Z");
  EXPECT_EQ(format_rfc3339(must(parse_rfc3339("2026-01-01T00:00:00.1234567891-00:30"))),
            "2026-01-01T00:30:00.123456789Z");
}

TEST(ClockTest, RefusesWhatIsNotRfc3339) {
  for (const char* text :
       {"", "2026-01-02", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "0001-01-01T00:00:00Z",
        "2026-01-01T00:00:00+2:00", "2026-1-01T00:00:00Z"})
    EXPECT_EQ(code_of(parse_rfc3339(text)), "invalid_argument") << text;
}

TEST(ClockTest, DurationsFollowGo) {
  EXPECT_EQ(must(parse_duration("1h30m")), 90min);
  EXPECT_EQ(must(parse_duration("500ms")), 500ms);
  EXPECT_EQ(must(parse_duration("1.5s")), 1500ms);
  EXPECT_EQ(must(parse_duration(".5m")), 30s);
  EXPECT_EQ(must(parse_duration("-2us")), -2us);
  EXPECT_EQ(must(parse_duration("3\xC2\xB5s")), 3us);
  EXPECT_EQ(must(parse_duration("0")), 0s);
  EXPECT_EQ(must(parse_duration("+5ns")), 5ns);
  for (const char* text : {"", "5", "s", "1x", "1 s", ".s", "1h-5m", "9999999999h", "-"})
    EXPECT_EQ(code_of(parse_duration(text)), "invalid_argument") << text;
}

}  // namespace
}  // namespace kiln
