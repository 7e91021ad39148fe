// Names of the distribution specification ("Pulling manifests"): which repositories and tags there
// may be, and how a repository's name becomes one file name.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace kiln::server {

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes, at most 255 characters.
bool is_repository_name(std::string_view name);
/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
bool is_tag(std::string_view tag);
/// What upload ids look like: 32 lower-case hex digits.
bool is_upload_id(std::string_view id);

/// 16 random bytes in hex: of an upload, or of what no other process makes too.
Result<std::string> random_name();

/// A valid name as one path component: "/" becomes "+", which no name has.
std::string repository_component(std::string_view name);
std::string repository_of_component(std::string_view component);

/// Repository patterns of a configuration: `*` stands for any characters but "/", `**` for any.
bool matches_repository(std::string_view pattern, std::string_view name);

}  // namespace kiln::server
