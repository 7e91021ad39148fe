#include "solver/executor/uplink_program.h"

#include "base/process.h"

namespace kiln {
namespace {

using Tap = TapAddresses;
using Arguments = std::vector<std::string>;

void add(Arguments& to, std::initializer_list<const char*> more) {
  to.insert(to.end(), more.begin(), more.end());
}

Arguments slirp4netns_arguments(const std::string& ns, bool forward_dns) {
  Arguments out = {"slirp4netns", "--netns-type=path",
                   // What its addresses are is its default: Tap's are chosen after it.
                   "--disable-host-loopback", "--mtu=65520", "--enable-sandbox",
                   "--enable-seccomp"};
  if (!forward_dns) add(out, {"--disable-dns"});
  add(out, {ns.c_str(), Tap::kDevice});
  return out;
}

Arguments pasta_arguments(const std::string& ns, const Uplinks& uplinks, bool forward_dns) {
  Arguments out = {"pasta", "--netns", ns, "--no-netns-quit", "--foreground", "--stderr", "--quiet",
                   // It may not enter the namespace as another user.
                   "--runas", "0", "--ns-ifname", Tap::kDevice,
                   // No forwarding into the sandbox, no way to the machine's loopback.
                   "-t", "none", "-u", "none", "-T", "none", "-U", "none", "--no-map-gw",
                   "--no-dhcp", "--no-dhcpv6", "--no-ra"};
  if (uplinks.ipv4) add(out, {"-a", Tap::kAddress, "-n", Tap::kNetmask, "-g", Tap::kGateway});
  if (uplinks.ipv6) add(out, {"-a", Tap::kAddress6, "-g", Tap::kGateway6});
  if (!uplinks.ipv6) add(out, {"-4"});
  if (!uplinks.ipv4) add(out, {"-6"});
  if (forward_dns) add(out, {"--dns-forward", Tap::kForwarder});
  return out;
}

}  // namespace

Result<UplinkProgram> uplink_program(const std::string& search_path, const Uplinks& uplinks,
                                     bool forward_dns, int ns) {
  const std::string name = "/proc/self/fd/" + std::to_string(ns);
  if (uplinks.ipv4) {
    if (auto path = find_program("slirp4netns", search_path))
      return UplinkProgram{*path, slirp4netns_arguments(name, forward_dns)};
  }
  if (auto path = find_program("pasta", search_path))
    return UplinkProgram{*path, pasta_arguments(name, uplinks, forward_dns)};
  const bool either = uplinks.ipv4;
  return tl::unexpected(
      Error(Code::kNotFound, std::string("a step needs the network, but ") +
                                 (either ? "neither slirp4netns nor pasta is" : "pasta is not") +
                                 " installed")
          .hint(std::string("install the package ") + (either ? "slirp4netns" : "passt") +
                ", or build with --network=host"));
}

}  // namespace kiln
