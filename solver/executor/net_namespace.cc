#include "solver/executor/net_namespace.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "base/fs.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxRouteBytes = 16U << 20U;
constexpr int kMtu = 65520;             // what the uplink programs take in one frame
constexpr uint32_t kRejected = 0x0200;  // RTF_REJECT

// <linux/ipv6.h> has it, but does not go together with <netinet/in.h>.
struct Inet6Request {
  in6_addr address;
  uint32_t prefix_length;
  int interface_index;
};

ifreq request_for(const char* device) {
  ifreq request{};
  std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  return request;
}

sockaddr ipv4(const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ::inet_pton(AF_INET, text, &address.sin_addr);
  sockaddr out{};
  std::memcpy(&out, &address, sizeof(out));
  return out;
}

in6_addr ipv6(const char* text) {
  in6_addr address{};
  ::inet_pton(AF_INET6, text, &address);
  return address;
}

Status control(int socket, unsigned long what, void* request, const char* name) {
  if (::ioctl(socket, what, request) != 0)
    return fail_errno("set up network: " + std::string(name), "sandbox");
  return {};
}

Status set_up(int socket, const char* device) {
  ifreq request = request_for(device);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return control(socket, SIOCSIFFLAGS, &request, device);
}

// An uplink program needs some 100 ms to take the device over. Meanwhile the carrier is off,
// address resolution goes unanswered, and what waits for it must not be dropped: ask often and
// long, and keep entries. A kernel without one of these (before 5.16) loses the first packet, and
// programs retry.
void be_patient(const Uplinks& uplinks) {
  const auto set = [](const std::string& name, const char* value) {
    (void)write_file("/proc/sys/net/" + name, value);
  };
  const std::string device = TapAddresses::kDevice;
  if (uplinks.ipv4) {
    set("ipv4/neigh/" + device + "/retrans_time_ms", "30");
    set("ipv4/neigh/" + device + "/mcast_solicit", "200");
    set("ipv4/conf/" + device + "/arp_evict_nocarrier", "0");
  }
  if (!uplinks.ipv6) {
    set("ipv6/conf/" + device + "/disable_ipv6", "1");
    return;
  }
  set("ipv6/neigh/" + device + "/retrans_time_ms", "30");
  set("ipv6/neigh/" + device + "/mcast_solicit", "200");
  set("ipv6/conf/" + device + "/ndisc_evict_nocarrier", "0");
  set("ipv6/conf/" + device + "/accept_dad", "0");
  set("ipv6/conf/" + device + "/accept_ra", "0");
}

Result<Fd> make_tap() {
  Fd tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!tap.valid()) return fail_errno("open", "/dev/net/tun");
  ifreq request = request_for(TapAddresses::kDevice);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  KILN_TRY(control(tap.get(), TUNSETIFF, &request, "make TAP device"));
  if (::ioctl(tap.get(), TUNSETPERSIST, 1) != 0) return fail_errno("keep", "TAP device");
  return tap;
}

Status add_ipv4(int socket) {
  ifreq request = request_for(TapAddresses::kDevice);
  request.ifr_addr = ipv4(TapAddresses::kAddress);
  KILN_TRY(control(socket, SIOCSIFADDR, &request, "add address"));
  request.ifr_netmask = ipv4(TapAddresses::kNetmask);
  return control(socket, SIOCSIFNETMASK, &request, "set netmask");
}

Status add_ipv4_route(int socket) {
  rtentry route{};
  route.rt_dst = ipv4("0.0.0.0");
  route.rt_genmask = ipv4("0.0.0.0");
  route.rt_gateway = ipv4(TapAddresses::kGateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  return control(socket, SIOCADDRT, &route, "add default route");
}

Status add_ipv6() {
  const Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail_errno("open", "IPv6 socket");
  const int index = static_cast<int>(::if_nametoindex(TapAddresses::kDevice));
  Inet6Request address{ipv6(TapAddresses::kAddress6), TapAddresses::kPrefix6, index};
  KILN_TRY(control(socket.get(), SIOCSIFADDR, &address, "add IPv6 address"));
  in6_rtmsg route{};
  route.rtmsg_gateway = ipv6(TapAddresses::kGateway6);
  route.rtmsg_flags = RTF_UP | RTF_GATEWAY;
  route.rtmsg_metric = 1024;
  route.rtmsg_ifindex = index;
  return control(socket.get(), SIOCADDRT, &route, "add IPv6 default route");
}

Status set_up_tap(int socket, const Uplinks& uplinks) {
  be_patient(uplinks);
  ifreq request = request_for(TapAddresses::kDevice);
  request.ifr_mtu = kMtu;
  KILN_TRY(control(socket, SIOCSIFMTU, &request, "set MTU"));
  if (uplinks.ipv4) KILN_TRY(add_ipv4(socket));
  KILN_TRY(set_up(socket, TapAddresses::kDevice));
  if (uplinks.ipv4) KILN_TRY(add_ipv4_route(socket));
  if (uplinks.ipv6) KILN_TRY(add_ipv6());
  return {};
}

// On a thread of its own, whose end takes it out of the namespace again.
Result<NetNamespace> make_on_this_thread(const Uplinks& uplinks) {
  if (::unshare(CLONE_NEWNET) != 0) return fail_errno("make namespace", "network");
  NetNamespace made;
  made.ns = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!made.ns.valid()) return fail_errno("open", "/proc/thread-self/ns/net");
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail_errno("open", "socket");
  KILN_TRY(set_up(socket.get(), "lo"));
  if (!uplinks.any()) return made;
  KILN_TRY_ASSIGN(made.tap, make_tap());
  KILN_TRY(set_up_tap(socket.get(), uplinks));
  return made;
}

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  for (std::string& word : split(line, ' '))
    if (!word.empty()) out.push_back(std::move(word));
  return out;
}

}  // namespace

Uplinks parse_uplinks(std::string_view route, std::string_view ipv6_route) {
  Uplinks out;
  for (const std::string& line : split(route, '\n')) {
    const std::vector<std::string> fields = split(line, '\t');
    // Iface Destination Gateway Flags RefCnt Use Metric Mask …
    if (fields.size() > 7 && fields[1] == "00000000" && fields[7] == "00000000") out.ipv4 = true;
  }
  const std::string zero(32, '0');
  for (const std::string& line : split(ipv6_route, '\n')) {
    const std::vector<std::string> fields = words(line);
    // destination prefix source prefix next-hop metric refcount use flags device
    if (fields.size() < 10 || fields[0] != zero || fields[1] != "00" || fields[9] == "lo") continue;
    const unsigned long flags = std::strtoul(fields[8].c_str(), nullptr, 16);
    if ((flags & kRejected) == 0) out.ipv6 = true;
  }
  return out;
}

Uplinks detect_uplinks() {
  return parse_uplinks(read_file("/proc/net/route", kMaxRouteBytes).value_or(""),
                       read_file("/proc/net/ipv6_route", kMaxRouteBytes).value_or(""));
}

Result<std::string> primary_address() {
  // Connecting a datagram socket sends nothing; it only chooses a route.
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  ::inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);  // RFC 5737: nobody's
  socklen_t length = sizeof(address);
  if (!socket.valid() ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return fail(Code::kFailedPrecondition,
                "host-gateway: this machine has no IPv4 address that a step could reach");
  char text[INET_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
  return std::string(text);
}

Result<NetNamespace> make_net_namespace(const Uplinks& uplinks) {
  Result<NetNamespace> made = fail(Code::kInternal, "no network namespace was made");
  std::thread([&] { made = make_on_this_thread(uplinks); }).join();
  return made;
}

}  // namespace kiln
