// SHA-256 identity. A Digest is always valid; its text form is image-spec descriptor.md, "Digests".
// In-memory hashing for speed lives in fingerprint.h and never becomes a Digest.
#pragma once

#include "base/result.h"

#include <array>
#include <compare>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace kiln {

class Digest {
 public:
  static constexpr size_t kBytes = 32;
  /// "sha256:<64 lower-case hex>". kUnimplemented for other registered algorithms, kInvalidArgument
  /// for the rest.
  static Result<Digest> parse(std::string_view text);
  static Digest of(std::span<const std::byte> data);
  static Digest of(std::string_view data);
  static Digest from_bytes(std::span<const std::byte, kBytes> bytes);

  std::string to_string() const;  // "sha256:<hex>"
  std::string hex() const;        // 64 characters
  std::span<const std::byte, kBytes> bytes() const { return bytes_; }
  auto operator<=>(const Digest&) const = default;

 private:
  Digest() = default;
  std::array<std::byte, kBytes> bytes_{};
};

/// Incremental SHA-256 (OpenSSL EVP: SHA extensions where the CPU has them). One thread at a time.
/// After finish() it starts anew.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(std::span<const std::byte> data);
  void update(std::string_view data);
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln

template <>
struct std::hash<kiln::Digest> {
  size_t operator()(const kiln::Digest& d) const noexcept;
};
