#include "oci/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/strings.h"

namespace kiln::oci {
namespace {

tl::unexpected<Error> invalid_url(std::string_view text, std::string_view why) {
  // Queries carry tokens: they stay out of errors.
  return fail(Code::kInvalidArgument,
              "URL " + quote(text.substr(0, text.find('?'))) + ": " + std::string(why));
}

Result<uint16_t> parse_port(std::string_view text, std::string_view url) {
  const auto port = parse_int(text);
  if (!port || *port < 1 || *port > 65535) return invalid_url(url, "bad port");
  return static_cast<uint16_t>(*port);
}

bool is_clean(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c != '\x7f' && c != '\\'; });
}

struct InRange {
  uint32_t network, mask;
  bool holds(uint32_t address) const { return (address & mask) == network; }
};
constexpr InRange kLoopback4{0x7f000000, 0xff000000};
// "This host", private use, link-local, carrier-grade NAT (RFC 6890).
constexpr std::array kPrivate4 = {kLoopback4,
                                  InRange{0x00000000, 0xff000000},
                                  InRange{0x0a000000, 0xff000000},
                                  InRange{0xac100000, 0xfff00000},
                                  InRange{0xc0a80000, 0xffff0000},
                                  InRange{0xa9fe0000, 0xffff0000},
                                  InRange{0x64400000, 0xffc00000}};

std::optional<in6_addr> address6(const std::string& host) {
  in6_addr address{};
  if (::inet_pton(AF_INET6, host.c_str(), &address) != 1) return std::nullopt;
  return address;
}

// Host order. What a resolver takes as a number, "127.1" and "2130706433" too.
std::optional<uint32_t> address4(const std::string& host) {
  if (const auto six = address6(host)) {
    if (!IN6_IS_ADDR_V4MAPPED(&*six)) return std::nullopt;
    uint32_t mapped = 0;
    std::memcpy(&mapped, six->s6_addr + 12, sizeof mapped);
    return ntohl(mapped);
  }
  in_addr address{};
  if (::inet_aton(host.c_str(), &address) == 0) return std::nullopt;
  return ntohl(address.s_addr);
}

std::string without_dot(std::string_view host) {
  std::string plain = to_lower(host);
  if (plain.ends_with('.')) plain.pop_back();
  return plain;
}

bool is_localhost(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost");
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  Url url;
  const size_t colon = text.find("://");
  url.scheme = to_lower(text.substr(0, colon));
  if (colon == std::string_view::npos || (url.scheme != "http" && url.scheme != "https")) {
    return invalid_url(text, "not http or https");
  }
  if (!is_clean(text)) return invalid_url(text, "it has white space, control bytes or backslashes");
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  url.target = rest.substr(authority.size());
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) {
    return invalid_url(text.substr(0, colon + 3), "user information is not allowed");
  }
  url.port = url.scheme == "https" ? 443 : 80;
  std::string_view host = authority;
  const size_t port = authority.rfind(':');
  if (port != std::string_view::npos && authority.find(']', port) == std::string_view::npos) {
    KILN_TRY_ASSIGN(url.port, parse_port(authority.substr(port + 1), text));
    host = authority.substr(0, port);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return invalid_url(text, "no host");
  url.host = to_lower(host);
  return url;
}

Result<Url> Url::resolve(std::string_view location) const {
  if (location.empty()) return invalid_url(location, "empty");
  if (location.starts_with("//")) return parse(scheme + ":" + std::string(location));
  const std::string_view path = std::string_view(target).substr(0, target.find('?'));
  if (location.starts_with('/')) return parse(origin() + std::string(location));
  if (location.starts_with('?')) return parse(origin() + std::string(path) + std::string(location));
  if (location.substr(0, location.find_first_of("/?#")).find(':') != std::string_view::npos) {
    return parse(location);
  }
  return parse(origin() + std::string(path.substr(0, path.rfind('/') + 1)) + std::string(location));
}

std::string Url::origin() const {
  const bool brackets = host.find(':') != std::string::npos;
  return scheme + "://" + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Url::to_string() const {
  const std::string text = origin();
  const bool usual = port == (scheme == "https" ? 443 : 80);
  return (usual ? text.substr(0, text.rfind(':')) : text) + target;
}

bool is_loopback_host(std::string_view text) {
  const std::string host = without_dot(text);
  if (is_localhost(host)) return true;
  if (const auto four = address4(host)) return kLoopback4.holds(*four);
  const auto six = address6(host);
  return six && IN6_IS_ADDR_LOOPBACK(&*six);
}

bool is_private_host(std::string_view text) {
  const std::string host = without_dot(text);
  if (is_localhost(host)) return true;
  if (const auto four = address4(host)) {
    return std::ranges::any_of(kPrivate4, [&](const InRange& range) { return range.holds(*four); });
  }
  const auto six = address6(host);
  if (!six) return false;
  return IN6_IS_ADDR_LOOPBACK(&*six) || IN6_IS_ADDR_UNSPECIFIED(&*six) ||
         IN6_IS_ADDR_LINKLOCAL(&*six) || (six->s6_addr[0] & 0xfeU) == 0xfc;
}

}  // namespace kiln::oci
