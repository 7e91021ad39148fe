#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace kiln {
namespace {

TEST(ErrorTest, WrapPutsTheContextInFrontAndLeavesTheOriginalBe) {
  const Error inner(Code::kUnavailable, "registry refused the token");
  const Error outer = inner.wrap("pull \"alpine\"");
  EXPECT_EQ(outer.message(), "pull \"alpine\": registry refused the token");
  EXPECT_EQ(outer.code(), Code::kUnavailable);
  EXPECT_EQ(inner.message(), "registry refused the token");
}

TEST(ErrorTest, InnermostPlaceAndHintWin) {
  const Error error =
      Error(Code::kInternal, "x").at({"a", 1, 2}).at({"b", 3, 3}).hint("first").hint("second");
  EXPECT_EQ(error.to_string(), "a:1: x");
  EXPECT_EQ(error.advice(), "first");
}

TEST(ErrorTest, ErrnoChoosesTheCode) {
  const std::pair<int, Code> cases[] = {{ENOENT, Code::kNotFound},
                                        {ENOSPC, Code::kResourceExhausted},
                                        {EACCES, Code::kPermissionDenied},
                                        {EEXIST, Code::kAlreadyExists},
                                        {ELOOP, Code::kInvalidArgument},
                                        {EINTR, Code::kCancelled},
                                        {EIO, Code::kInternal}};
  for (const auto& [err, code] : cases)
    EXPECT_EQ(Error::from_errno(err, "open", "f").code(), code) << err;
  EXPECT_EQ(Error::from_errno(ENOENT, "open", "f").message(),
            "open \"f\": No such file or directory");
  EXPECT_EQ(Error::from_errno(ENOENT, "open", "").message(), "open: No such file or directory");
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::kInvalidArgument, "odd");
  return n / 2;
}
Result<int> quarter(int n) {
  KILN_TRY_ASSIGN(const int h, half(n));
  KILN_TRY(half(h));
  return half(h);
}

TEST(ResultTest, TryPropagatesTheFirstError) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message(), "odd");
}

}  // namespace
}  // namespace kiln
