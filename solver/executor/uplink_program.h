// The program that carries a sandbox's packets to the machine's network, and how it is called.
//
// slirp4netns, wherever the machine has IPv4: as little as 2 MB a namespace where pasta takes 20,
// and right about a client that closes its sending side first, to whom pasta 2023-03-09 (Debian 12)
// never passes on the server's close. pasta does where slirp4netns is not installed, and on a
// machine with IPv6 alone, which slirp4netns calls experimental.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "solver/executor/net_namespace.h"

namespace kiln {

struct UplinkProgram {
  std::string path;
  std::vector<std::string> argv;
};

/// For the namespace that the program will find at descriptor `ns`, whose TAP device waits there.
/// Both confine themselves: few capabilities, empty mount namespace, seccomp; neither forwards into
/// the sandbox, and neither gives a way to the machine's loopback but for DNS (`forward_dns`).
/// kNotFound: none is installed in `search_path`.
Result<UplinkProgram> uplink_program(const std::string& search_path, const Uplinks& uplinks,
                                     bool forward_dns, int ns);

}  // namespace kiln
