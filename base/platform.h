// OS/architecture/variant as image-spec and Docker spell them.
#pragma once

#include "base/result.h"

#include <compare>
#include <string>
#include <string_view>

namespace kiln {

struct Platform {
  std::string os, architecture, variant;
  auto operator<=>(const Platform&) const = default;
  std::string to_string() const;  // "linux/arm/v7"
  /// "linux/amd64", "arm64", "linux/arm/v7", "local"; normalised as containerd does (x86_64 ->
  /// amd64, aarch64 -> arm64, arm64/v8 -> arm64, arm -> arm/v7). kInvalidArgument otherwise.
  static Result<Platform> parse(std::string_view text);
  static Platform host();
};

/// What a kernel of `host` runs without help: its own architecture, amd64 also 386, arm64 also arm.
bool runs_natively(std::string_view architecture, std::string_view host);

}  // namespace kiln
