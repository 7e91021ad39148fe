// Whether a registry takes credentials.
#pragma once

#include "oci/registry_session.h"

#include <stop_token>
#include <string>

namespace kiln::oci {

/// Asks `domain` for its API ("/v2/") with `credentials`. Returns the identity token that it offers
/// in place of the password; "" if it offers none. kUnauthenticated: it refuses them; kUnavailable:
/// nobody answers.
Result<std::string> check_login(const RegistryAccess& access, const std::string& domain,
                                const Credentials& credentials, std::stop_token stop);

}  // namespace kiln::oci
