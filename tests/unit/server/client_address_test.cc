// Whose a request is behind proxies, and that nobody can say it of himself.
#include "cache/server/client_address.h"

#include <gmock/gmock.h>

#include "cache/server/http_message.h"
#include "tests/fakes/must.h"

namespace kiln::server {
namespace {

using fake::message_of;
using fake::must;
using ::testing::HasSubstr;

TEST(TrustedProxiesTest, TheLastAddressThatIsNotTrustedIsTheClients) {
  const TrustedProxies proxies = must(TrustedProxies::parse(
      {"10.0.0.0/8", "127.0.0.1", "172.16.0.0/12", "::1", "2001:db8:1::/48"}));
  struct Row {
    const char *peer, *forwarded, *client;
  };
  for (const Row& row : {
           Row{"192.0.2.7", "", "192.0.2.7"},
           Row{"192.0.2.7", "10.0.0.1", "192.0.2.7"},  // it is not a proxy of ours
           Row{"127.0.0.1", "", "127.0.0.1"},
           Row{"127.0.0.1", "192.0.2.7", "192.0.2.7"},
           Row{"127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"},
           Row{"127.0.0.1", "127.0.0.1, 192.0.2.7", "192.0.2.7"},  // it says that it is us
           Row{"127.0.0.1", "192.0.2.7, 10.1.2.3", "192.0.2.7"},
           Row{"127.0.0.1", "192.0.2.7,172.31.0.1 , 10.1.2.3", "192.0.2.7"},
           Row{"127.0.0.1", "192.0.2.7, 172.32.0.1, 10.1.2.3", "172.32.0.1"},
           Row{"127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"},  // all are trusted
           Row{"127.0.0.1", "192.0.2.7:4711", "192.0.2.7"},
           Row{"127.0.0.2", "192.0.2.7", "127.0.0.2"},
           // What is no address is nobody's: whoever wrote it stands for the client.
           Row{"127.0.0.1", "unknown", "127.0.0.1"},
           Row{"127.0.0.1", "192.0.2.7, unknown, 10.1.2.3", "10.1.2.3"},
           Row{"127.0.0.1", "192.0.2.7, , 10.1.2.3", "192.0.2.7"},  // RFC 9110, 5.6.1
           Row{"127.0.0.1", "192.0.2.7x", "127.0.0.1"},
           Row{"127.0.0.1", "192.0.2.7:port", "127.0.0.1"},
           Row{"127.0.0.1", "192.0.2.256", "127.0.0.1"},
           Row{"127.0.0.1", "[192.0.2.7]", "127.0.0.1"},
           Row{"127.0.0.1", "[2001:db8::7", "127.0.0.1"},
           Row{"127.0.0.1", "[2001:db8::7]x", "127.0.0.1"},
           Row{"127.0.0.1", "[]", "127.0.0.1"},
           Row{"127.0.0.1", "::1%lo", "127.0.0.1"},
           // IPv6, and IPv4 within it.
           Row{"::1", "2001:db8::7", "2001:db8::7"},
           Row{"::1", "[2001:DB8::7]:443", "2001:db8::7"},
           Row{"::1", "[2001:db8:0:0::7]", "2001:db8::7"},
           Row{"2001:db8:1:2::3", "2001:db8::7, 2001:db8:1::9", "2001:db8::7"},
           Row{"2001:db8:2::3", "2001:db8::7", "2001:db8:2::3"},
           Row{"::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7"},
           Row{"127.0.0.1", "::ffff:192.0.2.7, ::ffff:10.1.2.3", "192.0.2.7"},
           Row{"::1%lo", "192.0.2.7", "192.0.2.7"},
           Row{"", "192.0.2.7", ""},
       }) {
    Request request{"GET", "/", "", {{"x-forwarded-for", row.forwarded}}};
    EXPECT_EQ(proxies.client_of(row.peer, request.header_list("x-forwarded-for")), row.client)
        << row.peer << " " << row.forwarded;
  }
  // Several headers are one list.
  Request request{
      "GET", "/", "", {{"x-forwarded-for", "192.0.2.7"}, {"x-forwarded-for", "10.1.2.3"}}};
  EXPECT_EQ(proxies.client_of("::1", request.header_list("x-forwarded-for")), "192.0.2.7");
  EXPECT_EQ(TrustedProxies().client_of("127.0.0.1", {"192.0.2.7"}), "127.0.0.1");
  EXPECT_EQ(must(TrustedProxies::parse({"0.0.0.0/0"})).client_of("192.0.2.1", {"1.2.3.4"}),
            "1.2.3.4");
}

TEST(TrustedProxiesTest, WhatIsNoNetworkIsToldOf) {
  struct Row {
    const char *text, *message;
  };
  for (const Row& row : {
           Row{"", "no address or network"},
           Row{"proxy.example", "no address or network"},
           Row{"10.0.0", "no address or network"},
           Row{"10.0.0.1/", "no length of a network"},
           Row{"10.0.0.0/33", "no length of a network"},
           Row{"10.0.0.0/-1", "no length of a network"},
           Row{"10.0.0.0/8/8", "no length of a network"},
           Row{"::/129", "no length of a network"},
           Row{"10.1.0.0/8", "say \"10.0.0.0/8\""},
           Row{"2001:db8::1/32", "say \"2001:db8::/32\""},
       })
    EXPECT_THAT(message_of(TrustedProxies::parse({"::1", row.text})), HasSubstr(row.message))
        << row.text;
}

}  // namespace
}  // namespace kiln::server
