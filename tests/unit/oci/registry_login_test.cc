#include "oci/registry_login.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_registry.h"

namespace kiln::oci {
namespace {

using testing::HasSubstr;

class LoginTest : public testing::Test {
 protected:
  Result<std::string> log_in(const Credentials& credentials) {
    return check_login({http_.get(), nullptr, nullptr, std::chrono::milliseconds(1)},
                       registry_.host(), credentials, {});
  }
  fake::FakeRegistry registry_;
  std::unique_ptr<HttpClient> http_ = HttpClient::create("kiln-test");
};

TEST_F(LoginTest, APasswordIsCheckedWithTheRegistry) {
  registry_.require_basic("u", "p");
  EXPECT_EQ(log_in({"u", "p", ""}).value(), "");
  const auto refused = log_in({"u", "wrong", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kUnauthenticated);
  EXPECT_THAT(refused.error().message(), HasSubstr("incorrect username or password"));
}

TEST_F(LoginTest, ATokenServerGivesAnIdentityTokenThatServesInItsPlace) {
  registry_.require_tokens("u", "p");
  EXPECT_EQ(log_in({"u", "p", ""}).value(), "identity");
  EXPECT_TRUE(log_in({"", "", "identity"}));
  EXPECT_EQ(log_in({"", "", "stale"}).error().code(), Code::kUnauthenticated);
  EXPECT_EQ(log_in({"u", "wrong", ""}).error().code(), Code::kUnauthenticated);
  for (const auto& request : registry_.server().requests())
    EXPECT_THAT(request.target, testing::Not(HasSubstr("identity"))) << "no secret in a URL";
}

TEST_F(LoginTest, WhatIsNoRegistryIsSaidToBeNone) {
  registry_.hook = [](const fake::Request&) { return fake::Response{.status = 404}; };
  const auto refused = log_in({"u", "p", ""});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().advice(), HasSubstr("is it a registry"));
}

}  // namespace
}  // namespace kiln::oci
