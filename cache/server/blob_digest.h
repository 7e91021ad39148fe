// Digests as a registry meets them: SHA-256, and SHA-512 too, which the distribution specification
// lets clients choose. Elsewhere kiln knows SHA-256 alone (base/digest.h).
#pragma once

#include "base/result.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace kiln::server {

enum class HashAlgorithm : uint8_t { kSha256, kSha512 };
std::string_view to_string(HashAlgorithm algorithm);

/// Always valid (image-spec descriptor.md, "Digests").
class BlobDigest {
 public:
  /// kUnimplemented: an algorithm we do not know. kInvalidArgument: no digest at all.
  static Result<BlobDigest> parse(std::string_view text);
  static BlobDigest of(HashAlgorithm algorithm, std::string_view data);
  /// What component() made; kInvalidArgument for anything else.
  static Result<BlobDigest> from_component(std::string_view name);

  HashAlgorithm algorithm() const { return algorithm_; }
  const std::string& hex() const { return hex_; }
  std::string to_string() const;  // "sha256:<hex>"
  std::string component() const;  // "sha256-<hex>": a file's name
  auto operator<=>(const BlobDigest&) const = default;

 private:
  friend class BlobHasher;
  BlobDigest(HashAlgorithm algorithm, std::string hex)
      : algorithm_(algorithm), hex_(std::move(hex)) {}
  HashAlgorithm algorithm_;
  std::string hex_;
};

/// One thread at a time; finish() once.
class BlobHasher {
 public:
  explicit BlobHasher(HashAlgorithm algorithm);
  ~BlobHasher();
  BlobHasher(BlobHasher&&) noexcept;
  BlobHasher& operator=(BlobHasher&&) noexcept;
  HashAlgorithm algorithm() const { return algorithm_; }
  void update(std::span<const std::byte> data);
  BlobDigest finish();

 private:
  struct State;
  HashAlgorithm algorithm_;
  std::unique_ptr<State> state_;
};

/// HMAC-SHA-256 (RFC 2104) in hex: says that who wrote it has the key.
std::string keyed_hash(std::string_view key, std::string_view text);
/// Equal in a time that does not tell where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace kiln::server
