// A network namespace held by its fd, and what kiln sets up inside one: loopback, and a TAP device
// with fixed addresses and a default route through it. Nothing of kiln's own namespace changes.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace kiln {

/// Which address families lead out of the machine.
struct Uplinks {
  bool ipv4 = false, ipv6 = false;
  bool any() const { return ipv4 || ipv6; }
};
/// From the texts of /proc/net/route and /proc/net/ipv6_route: is there a default route? Pure.
Uplinks parse_uplinks(std::string_view route, std::string_view ipv6_route);
Uplinks detect_uplinks();

// The sandbox's side of the wire. Addresses that the machine's network uses too do no harm: all
// traffic but that to `kAddress` itself leaves through the device.
struct TapAddresses {
  static constexpr const char* kDevice = "eth0";
  static constexpr const char* kAddress = "10.0.2.100";
  static constexpr const char* kNetmask = "255.255.255.0";
  static constexpr const char* kGateway = "10.0.2.2";
  static constexpr const char* kForwarder = "10.0.2.3";  // answers DNS
  static constexpr const char* kAddress6 = "fd00:6b69:6c6e::100";
  static constexpr const char* kGateway6 = "fd00:6b69:6c6e::2";
  static constexpr int kPrefix6 = 64;
};

struct NetNamespace {
  Fd ns;   // /proc/…/ns/net
  Fd tap;  // invalid if there is no uplink; the device outlives the fd
};

/// The address by which a sandbox reaches this machine ("host-gateway"): the one that its default
/// route leaves from. kFailedPrecondition without one.
Result<std::string> primary_address();

/// Loopback is up. With an uplink there is a TAP device besides, up, with addresses and routes.
/// Blocks for about 2 ms. kPermissionDenied without CAP_SYS_ADMIN, kNotFound without /dev/net/tun.
Result<NetNamespace> make_net_namespace(const Uplinks& uplinks);

}  // namespace kiln
