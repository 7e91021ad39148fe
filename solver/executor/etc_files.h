// The text of /etc/resolv.conf and /etc/hosts as a step sees them. Pure functions; the files are
// made in the bundle and bind-mounted, so nothing of them lands in a layer.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "llb/op.h"

namespace kiln {

/// The machine's resolver configuration as `network` can use it: a sandbox has a loopback of its
/// own, so name servers there are replaced by `forwarder` (what the uplink answers for), other
/// lines stay. Without any name server `forwarder` is the one.
std::string resolv_conf_text(std::string_view host_text, llb::NetMode network,
                             std::string_view forwarder);
/// True if the result of resolv_conf_text() names `forwarder`.
bool needs_dns_forwarder(std::string_view host_text);

/// As BuildKit writes it: localhost and `hostname` on loopback, then `extra` in order.
/// `host_gateway` stands for an ip of "host-gateway".
std::string hosts_text(std::string_view hostname, std::span<const llb::HostIp> extra,
                       std::string_view host_gateway);

}  // namespace kiln
