// Whose a request is where proxies stand before the server. Each adds whom it heard to
// X-Forwarded-For; what others wrote there before is anybody's word. So the list is read from its
// end, as far as those who wrote it are trusted. Pure.
#pragma once

#include "base/result.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

class TrustedProxies {
 public:
  TrustedProxies() = default;  // nobody
  /// Of addresses and networks: "127.0.0.1", "10.0.0.0/8", "fd00::/8". kInvalidArgument.
  static Result<TrustedProxies> parse(const std::vector<std::string>& networks);
  /// `peer`: the address at the other end of the connection. `forwarded`: the entries of
  /// X-Forwarded-For in order. The peer, if it is not trusted; else the last entry whose address is
  /// not, or the first of all if all are. An entry that is no address ends the search: then it is
  /// who wrote that entry.
  std::string client_of(const std::string& peer, const std::vector<std::string>& forwarded) const;

 private:
  using Address = std::array<unsigned char, 16>;  // IPv4 as ::ffff:a.b.c.d
  struct Network {
    Address address{};
    size_t bits = 0;
  };
  static bool parse_address(std::string_view text, Address& address);
  static bool parse_entry(std::string_view text, Address& address);
  static std::string text_of(const Address& address);
  static Result<Network> parse_network(const std::string& text);
  static bool contains(const Network& network, const Address& address);
  bool trusts(const Address& address) const;

  std::vector<Network> networks_;
};

}  // namespace kiln::server
