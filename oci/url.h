// The few questions a registry client has about URLs: which origin, where does a redirect lead, is
// the host private.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::oci {

/// An absolute http or https URL.
struct Url {
  std::string scheme;  // "http", "https"
  std::string host;    // lower case; IPv6 addresses without brackets
  uint16_t port = 0;   // the scheme's if none was given
  std::string target;  // "/path?query", never empty; a fragment is dropped

  /// kInvalidArgument: not absolute, another scheme, or with user information (a way to hide the
  /// host).
  static Result<Url> parse(std::string_view text);
  /// What a Location header means at this URL (RFC 3986, 5.2, without dot segments).
  Result<Url> resolve(std::string_view location) const;
  std::string to_string() const;
  std::string origin() const;  // "https://host:port"
};

/// True for localhost and for addresses, in any spelling that inet_aton(3) takes, that are
/// loopback.
bool is_loopback_host(std::string_view host);
/// True for those, and for addresses that are private, link-local or unspecified.
bool is_private_host(std::string_view host);

}  // namespace kiln::oci
