#include "oci/retry_after.h"

#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

using std::chrono::seconds;

TEST(RetryAfterTest, TakesSecondsAndDatesUpToAMinute) {
  // 1994-11-06 08:49:37.5 UTC
  const std::chrono::sys_time<std::chrono::nanoseconds> now(
      std::chrono::milliseconds(784111777500));
  const struct {
    const char* header;
    std::optional<seconds> wait;
  } kCases[] = {
      {"", std::nullopt},
      {"0", std::nullopt},
      {"-5", std::nullopt},
      {"7", seconds(7)},
      {"60", seconds(60)},
      {"61", seconds(60)},
      {"9223372036854775807", seconds(60)},
      {"99999999999999999999", std::nullopt},
      {"soon", std::nullopt},
      {"Sun, 06 Nov 1994 08:49:37 GMT", std::nullopt},
      {"Sun, 06 Nov 1994 08:49:38 GMT", seconds(1)},
      {"Sun, 06 Nov 1994 08:50:07 GMT", seconds(30)},
      {"Sun, 06 Nov 1994 09:49:37 GMT", seconds(60)},
      {"Fri, 31 Dec 9999 23:59:59 GMT", seconds(60)},
      {"Sun, 06 Nov 1994 08:50:07 GMT, again", std::nullopt},
      {"Sun, 06 Nov 1994 08:50:07", std::nullopt},
  };
  for (const auto& c : kCases) EXPECT_EQ(retry_after(c.header, now), c.wait) << c.header;
}

}  // namespace
}  // namespace kiln::oci
