#include "cache/server/client_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/strings.h"

namespace kiln::server {
namespace {

constexpr std::array<unsigned char, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr size_t kAddressBits = 128, kMappedBits = 96;

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::all_of(text.begin(), text.end(),
                                         [](unsigned char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool TrustedProxies::parse_address(std::string_view text, Address& address) {
  const std::string name(text);
  if (::inet_pton(AF_INET6, name.c_str(), address.data()) == 1) return true;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
  return ::inet_pton(AF_INET, name.c_str(), address.data() + kMappedPrefix.size()) == 1;
}

// Some write ports too: "192.0.2.1:4711", "[2001:db8::1]:4711".
bool TrustedProxies::parse_entry(std::string_view text, Address& address) {
  const size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && !(rest.front() == ':' && is_port(rest.substr(1)))) return false;
    text = text.substr(1, end - 1);
    return text.find(':') != std::string_view::npos && parse_address(text, address);
  }
  const bool has_port = colon != std::string_view::npos && text.find(':') == colon;
  if (has_port && !is_port(text.substr(colon + 1))) return false;
  return parse_address(has_port ? text.substr(0, colon) : text, address);
}

std::string TrustedProxies::text_of(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool mapped = std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin());
  const unsigned char* bytes = address.data() + (mapped ? kMappedPrefix.size() : 0);
  (void)::inet_ntop(mapped ? AF_INET : AF_INET6, bytes, text.data(), text.size());  // it fits
  return text.data();
}

Result<TrustedProxies::Network> TrustedProxies::parse_network(const std::string& text) {
  const size_t slash = text.find('/');
  Network network{{}, kAddressBits};
  const auto wrong = [&](const std::string& why) {
    return fail(Code::kInvalidArgument, quote(text) + " " + why);
  };
  if (!parse_address(text.substr(0, slash), network.address))
    return wrong("is no address or network like \"10.0.0.0/8\" or \"fd00::/8\"");
  if (slash == std::string::npos) return network;
  const bool is_v4 = text.find(':') == std::string::npos;
  const std::string length = text.substr(slash + 1);
  const Result<int64_t> bits = parse_int(length);
  if (!bits || !is_port(length) || *bits > (is_v4 ? 32 : 128))
    return wrong("has no length of a network after \"/\"");
  network.bits = static_cast<size_t>(*bits) + (is_v4 ? kMappedBits : 0);
  Network first = network;
  for (size_t bit = network.bits; bit < kAddressBits; ++bit)
    first.address[bit / 8] &= static_cast<unsigned char>(~(0x80U >> (bit % 8)));
  if (first.address != network.address)
    return wrong("names a host in a network: say " + quote(text_of(first.address) + "/" + length));
  return network;
}

bool TrustedProxies::contains(const Network& network, const Address& address) {
  const size_t whole = network.bits / 8, rest = network.bits % 8;
  if (!std::equal(address.begin(), address.begin() + static_cast<std::ptrdiff_t>(whole),
                  network.address.begin()))
    return false;
  const unsigned mask = (0xff00U >> rest) & 0xffU;
  return rest == 0 || (address[whole] & mask) == network.address[whole];
}

bool TrustedProxies::trusts(const Address& address) const {
  return std::any_of(networks_.begin(), networks_.end(),
                     [&](const Network& network) { return contains(network, address); });
}

Result<TrustedProxies> TrustedProxies::parse(const std::vector<std::string>& networks) {
  TrustedProxies proxies;
  for (const std::string& text : networks) {
    KILN_TRY_ASSIGN(const Network network, parse_network(text));
    proxies.networks_.push_back(network);
  }
  return proxies;
}

std::string TrustedProxies::client_of(const std::string& peer,
                                      const std::vector<std::string>& forwarded) const {
  Address client{};
  // A zone ("fe80::1%eth0") is this machine's own affair.
  if (!parse_address(peer.substr(0, peer.find('%')), client) || !trusts(client)) return peer;
  for (auto entry = forwarded.rbegin(); entry != forwarded.rend() && trusts(client); ++entry) {
    Address named{};
    if (!parse_entry(*entry, named)) break;
    client = named;
  }
  return text_of(client);
}

}  // namespace kiln::server
