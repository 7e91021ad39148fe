#include "oci/url.h"

#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

TEST(UrlTest, PartsAndOrigin) {
  const Url url = Url::parse("HTTPS://Registry.Example:8443/v2/?a=b#frag").value();
  EXPECT_EQ(url.origin(), "https://registry.example:8443");
  EXPECT_EQ(url.target, "/v2/?a=b");
  EXPECT_EQ(url.to_string(), "https://registry.example:8443/v2/?a=b");
  EXPECT_EQ(Url::parse("http://h").value().origin(), "http://h:80");
  EXPECT_EQ(Url::parse("https://h?q").value().to_string(), "https://h/?q");
  EXPECT_EQ(Url::parse("https://[::1]:5000/x").value().host, "::1");
  EXPECT_EQ(Url::parse("https://[::1]/x").value().origin(), "https://[::1]:443");
}

TEST(UrlTest, WhatIsNotPlainlyAUrlIsRefused) {
  for (const char* text :
       {"", "registry/v2", "ftp://h/", "file:///etc/passwd", "https://", "https://user:secret@h/",
        "https://h:0/", "https://h:99999/", "https://h:x/", "https://h/a b", "https://h\\@evil/",
        "https://h/\r\nX: y"}) {
    EXPECT_FALSE(Url::parse(text)) << text;
  }
}

TEST(UrlTest, ErrorsShowNeitherPasswordsNorQueries) {
  for (const char* text : {"https://user:secret@h/", "ftp://h/?secret"}) {
    EXPECT_EQ(Url::parse(text).error().message().find("secret"), std::string::npos);
  }
}

TEST(UrlTest, LocationsResolveAsTheRfcHasIt) {
  const Url base = Url::parse("https://h:1/v2/a/b?q").value();
  const std::pair<const char*, const char*> cases[] = {
      {"https://other/x", "https://other/x"},
      {"//other/x", "https://other/x"},
      {"/x?y", "https://h:1/x?y"},
      {"x", "https://h:1/v2/a/x"},
      {"?z", "https://h:1/v2/a/b?z"},
      {"http://h/x", "http://h/x"},
  };
  for (const auto& [location, expected] : cases) {
    EXPECT_EQ(base.resolve(location).value().to_string(), expected) << location;
  }
  EXPECT_FALSE(base.resolve("javascript:x"));
  EXPECT_FALSE(base.resolve(""));
}

TEST(UrlTest, LoopbackAndPrivateHostsAreKnownInEverySpelling) {
  for (const char* host : {"localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1",
                           "2130706433", "0x7f.1", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback_host(host)) << host;
    EXPECT_TRUE(is_private_host(host)) << host;
  }
  for (const char* host :
       {"10.0.0.1", "172.16.5.4", "172.31.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "fe80::1", "fd00::1", "::", "::ffff:10.1.2.3"}) {
    EXPECT_FALSE(is_loopback_host(host)) << host;
    EXPECT_TRUE(is_private_host(host)) << host;
  }
  for (const char* host : {"auth.docker.io", "8.8.8.8", "172.32.0.1", "2001:db8::1", "10.example",
                           "localhost.example"}) {
    EXPECT_FALSE(is_private_host(host)) << host;
  }
}

}  // namespace
}  // namespace kiln::oci
