// RFC 4648, section 4, as Docker's config.json uses it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kiln::oci {

std::string encode_base64(std::string_view bytes);
/// nullopt: not base64. Padding may be missing.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace kiln::oci
