// RFC 4648, section 4: what the OCI runtime wants binary annotations in.
#pragma once

#include <string>
#include <string_view>

namespace kiln {

std::string base64(std::string_view bytes);

}  // namespace kiln
