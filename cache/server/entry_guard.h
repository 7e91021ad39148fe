// The first writer of a build cache's entry wins, on whatever route another one comes
// (SAFETY.md 4.5).
#pragma once

#include "cache/server/registry.h"

#include <string>
#include <string_view>

namespace kiln::server {

/// The same claim, whoever signed it. Of entries' bytes.
bool same_entry(const std::string& a, const std::string& b);
/// Refuses (409), while its caller holds Registry::entries_of(), a manifest that would replace a
/// sound entry under its tag by something else.
ApiStatus check_entry_stays(Registry& registry, const std::string& repository,
                            const std::string& tag, std::string_view manifest);

}  // namespace kiln::server
