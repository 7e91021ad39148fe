#include "solver/executor/etc_files.h"

#include <vector>

#include "base/strings.h"

namespace kiln {
namespace {

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address == "0.0.0.0" ||
         address == "::" || address == "localhost";
}

// "": not a nameserver line.
std::string_view name_server(std::string_view line) {
  constexpr std::string_view kKeyword = "nameserver";
  line = trim(line);
  if (!line.starts_with(kKeyword)) return {};
  line.remove_prefix(kKeyword.size());
  if (line.empty() || (line[0] != ' ' && line[0] != '\t')) return {};
  line = trim(line);
  return line.substr(0, line.find_first_of(" \t#;"));
}

}  // namespace

bool needs_dns_forwarder(std::string_view host_text) {
  bool any = false;
  for (const std::string& line : split(host_text, '\n')) {
    const std::string_view server = name_server(line);
    if (is_loopback(server)) return true;
    any = any || !server.empty();
  }
  return !any;
}

std::string resolv_conf_text(std::string_view host_text, llb::NetMode network,
                             std::string_view forwarder) {
  if (network == llb::NetMode::kHost) return std::string(host_text);
  const std::string replacement = "nameserver " + std::string(forwarder) + "\n";
  std::string out;
  bool forwarded = false;
  for (const std::string& line : split(host_text, '\n')) {
    if (!is_loopback(name_server(line))) {
      out += line + "\n";
    } else if (!forwarded) {
      out += replacement;
      forwarded = true;
    }
  }
  while (out.ends_with("\n\n")) out.pop_back();
  if (out == "\n") out.clear();
  if (!forwarded && needs_dns_forwarder(host_text)) out += replacement;
  return out;
}

std::string hosts_text(std::string_view hostname, std::span<const llb::HostIp> extra,
                       std::string_view host_gateway) {
  std::string out = "127.0.0.1\tlocalhost " + std::string(hostname) +
                    "\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const llb::HostIp& entry : extra)
    out += (entry.ip == "host-gateway" ? std::string(host_gateway) : entry.ip) + "\t" + entry.host +
           "\n";
  return out;
}

}  // namespace kiln
