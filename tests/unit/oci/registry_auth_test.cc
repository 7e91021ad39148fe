#include "oci/registry_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/base64.h"

namespace kiln::oci {
namespace {

TEST(Base64Test, KnownAnswersBothWays) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    EXPECT_EQ(encode_base64(plain), coded);
    EXPECT_EQ(decode_base64(coded), plain);
  }
  EXPECT_EQ(decode_base64("Zg"), "f");
  EXPECT_EQ(decode_base64("Z"), std::nullopt);
  EXPECT_EQ(decode_base64("Zm9v!"), std::nullopt);
}

TEST(ChallengeTest, OneOrSeveralWithQuotedCommas) {
  const auto parsed = parse_challenges(
      R"(Bearer realm="https://auth/token",service="reg, \"x\"",scope="repository:a:pull,push", Basic realm=plain)");
  ASSERT_EQ(parsed.size(), 2U);
  EXPECT_EQ(parsed[0].scheme, "bearer");
  EXPECT_EQ(parsed[0].parameters.at("realm"), "https://auth/token");
  EXPECT_EQ(parsed[0].parameters.at("service"), "reg, \"x\"");
  EXPECT_EQ(parsed[0].parameters.at("scope"), "repository:a:pull,push");
  EXPECT_EQ(parsed[1].scheme, "basic");
  EXPECT_EQ(parsed[1].parameters.at("realm"), "plain");
}

TEST(ChallengeTest, GarbageEndsTheList) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges("\"\"\"").empty());
  EXPECT_EQ(parse_challenges("Bearer realm=\"unterminated").size(), 1U);
  EXPECT_TRUE(parse_challenges("=x").empty());
}

TEST(RealmTest, TokenServersThatWouldLeakOrProbeAreRefused) {
  struct Case {
    const char *registry, *realm;
    bool allowed;
  };
  const Case cases[] = {
      {"https://registry-1.docker.io", "https://auth.docker.io/token", true},
      {"https://r.example", "http://auth.example/token", false},
      {"https://r.example", "https://127.0.0.1/token", false},
      {"https://r.example", "https://localhost/token", false},
      {"https://r.example", "https://10.0.0.7/token", false},
      {"https://r.example", "https://169.254.169.254/latest", false},
      {"https://r.example", "https://2130706433/token", false},
      {"https://10.0.0.7", "https://10.0.0.7:8443/token", true},
      {"https://10.0.0.7", "https://10.0.0.8/token", false},
      {"http://localhost:5000", "http://127.0.0.1:5001/token", true},
      {"http://localhost:5000", "https://auth.example/token", true},
  };
  for (const Case& c : cases) {
    const Status checked = check_realm(Url::parse(c.registry).value(), Url::parse(c.realm).value());
    EXPECT_EQ(checked.has_value(), c.allowed) << c.registry << " " << c.realm;
    if (!checked) {
      EXPECT_EQ(checked.error().code(), Code::kPermissionDenied);
    }
  }
}

}  // namespace
}  // namespace kiln::oci
