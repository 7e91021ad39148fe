#include "solver/executor/etc_files.h"

#include <gtest/gtest.h>

#include <vector>

namespace kiln {
namespace {

using llb::NetMode;

TEST(EtcFilesTest, NameServersOnLoopbackAreReplacedByTheForwarder) {
  struct Case {
    const char* host;
    const char* expected;
    bool forwards;
  };
  const Case cases[] = {
      {"nameserver 10.0.0.1\n", "nameserver 10.0.0.1\n", false},
      {"nameserver 127.0.0.53\noptions edns0\nsearch lan\n",
       "nameserver F\noptions edns0\nsearch lan\n", true},
      {"nameserver 127.0.0.1\nnameserver ::1\nnameserver 10.0.0.1\n",
       "nameserver F\nnameserver 10.0.0.1\n", true},
      {"  nameserver\t127.0.0.1 # local\n", "nameserver F\n", true},
      {"nameserver 10.0.0.1", "nameserver 10.0.0.1\n", false},
      {"# nameserver 127.0.0.1\nnameserver 1.1.1.1\n",
       "# nameserver 127.0.0.1\nnameserver 1.1.1.1\n", false},
      {"nameserver127.0.0.1\n", "nameserver127.0.0.1\nnameserver F\n", true},
      {"", "nameserver F\n", true},
      {"search lan\n\n\n", "search lan\nnameserver F\n", true},
      {"nameserver 2001:db8::1\n", "nameserver 2001:db8::1\n", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(resolv_conf_text(c.host, NetMode::kSandbox, "F"), c.expected) << c.host;
    EXPECT_EQ(needs_dns_forwarder(c.host), c.forwards) << c.host;
  }
}

TEST(EtcFilesTest, TheMachinesOwnNetworkKeepsTheMachinesResolver) {
  EXPECT_EQ(resolv_conf_text("nameserver 127.0.0.53\n", NetMode::kHost, "F"),
            "nameserver 127.0.0.53\n");
}

TEST(EtcFilesTest, HostsAreTheSandboxesAndTheUsers) {
  const std::vector<llb::HostIp> extra = {{"db", "10.1.2.3"}, {"me", "host-gateway"}};
  EXPECT_EQ(hosts_text("buildkitsandbox", extra, "192.0.2.7"),
            "127.0.0.1\tlocalhost buildkitsandbox\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "10.1.2.3\tdb\n"
            "192.0.2.7\tme\n");
}

}  // namespace
}  // namespace kiln
