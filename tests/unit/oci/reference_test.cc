#include "oci/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

const std::string kHex(64, 'a');

TEST(ReferenceTest, NamesAreNormalisedAsDockerDoes) {
  struct Case {
    std::string text, canonical, familiar;
  };
  const Case cases[] = {
      {"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"},
      {"user/app", "docker.io/user/app:latest", "user/app:latest"},
      {"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"docker.io/library/alpine:x", "docker.io/library/alpine:x", "alpine:x"},
      {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
      {"localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"},
      {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
      {"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
      {"registry.example/a/b_c__d/e-f--g.h", "registry.example/a/b_c__d/e-f--g.h:latest",
       "registry.example/a/b_c__d/e-f--g.h:latest"},
      {"Registry/app", "Registry/app:latest", "Registry/app:latest"},
      {"alpine@sha256:" + kHex, "docker.io/library/alpine@sha256:" + kHex, "alpine@sha256:" + kHex},
      {"alpine:3@sha256:" + kHex, "docker.io/library/alpine:3@sha256:" + kHex,
       "alpine:3@sha256:" + kHex},
      {"app:_v1.0-RC", "docker.io/library/app:_v1.0-RC", "app:_v1.0-RC"},
  };
  for (const Case& c : cases) {
    const auto parsed = Reference::parse(c.text);
    ASSERT_TRUE(parsed) << c.text << ": " << parsed.error().to_string();
    EXPECT_EQ(parsed->to_string(), c.canonical);
    EXPECT_EQ(parsed->familiar(), c.familiar);
    EXPECT_EQ(Reference::parse(c.canonical).value(), *parsed);
  }
}

TEST(ReferenceTest, WhatIsNotAReferenceIsRefused) {
  const std::string cases[] = {
      "",           ":tag",          "app:",         "app:-x",     "app:" + std::string(129, 't'),
      "App",        "user/App",      "app//x",       "/app",       "app/",
      "a___b",      "a..b",          "-a",           "a-",         "a._b",
      "app@",       "app@sha256:12", "app:1:2",      "http://x/y", "app tag",
      "host:x/app", "-host.x/app",   "app:1@md5:00", kHex,         std::string(256, 'a'),
  };
  for (const std::string& text : cases) EXPECT_FALSE(Reference::parse(text)) << text;
}

TEST(ReferenceTest, UpperCaseIsNamedAsTheReason) {
  EXPECT_THAT(Reference::parse("user/App").error().message(), testing::HasSubstr("lowercase"));
}

}  // namespace
}  // namespace kiln::oci
