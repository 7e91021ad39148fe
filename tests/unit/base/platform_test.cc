#include "base/platform.h"

#include <gtest/gtest.h>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

TEST(PlatformTest, ParsesAndNormalisesAsContainerdDoes) {
  const std::pair<const char*, const char*> cases[] = {
      {"linux/amd64", "linux/amd64"},       {"linux/x86_64", "linux/amd64"},
      {"Linux/AMD64", "linux/amd64"},       {"linux/aarch64", "linux/arm64"},
      {"linux/arm64/v8", "linux/arm64"},    {"linux/arm64/8", "linux/arm64"},
      {"linux/arm64/v9", "linux/arm64/v9"}, {"linux/arm", "linux/arm/v7"},
      {"linux/arm/6", "linux/arm/v6"},      {"linux/armhf", "linux/arm/v7"},
      {"linux/armel", "linux/arm/v6"},      {"linux/i386", "linux/386"},
      {"linux/amd64/v2", "linux/amd64/v2"}, {"linux/amd64/v1", "linux/amd64"},
      {"macos/arm64", "darwin/arm64"},      {"windows/amd64", "windows/amd64"}};
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(must(Platform::parse(text)).to_string(), expected) << text;
}

TEST(PlatformTest, OneWordIsCompletedFromTheHost) {
  EXPECT_EQ(must(Platform::parse("local")), Platform::host());
  EXPECT_EQ(must(Platform::parse("linux")), Platform::host());
  EXPECT_EQ(must(Platform::parse("riscv64")).to_string(), "linux/riscv64");
  EXPECT_EQ(must(Platform::parse("aarch64")).to_string(), "linux/arm64");
}

TEST(PlatformTest, RefusesWhatIsNoPlatform) {
  for (const char* text : {"", "/", "linux/", "nonsense", "a/b/c/d", "linux/amd 64", "linux//v7"})
    EXPECT_EQ(code_of(Platform::parse(text)), "invalid_argument") << text;
}

TEST(PlatformTest, HostIsANormalLinuxPlatform) {
  const Platform host = Platform::host();
  EXPECT_EQ(host.os, "linux");
  EXPECT_EQ(must(Platform::parse(host.to_string())), host);
}

}  // namespace
}  // namespace kiln
