// Ed25519 signatures (RFC 8032) with keys as OpenSSL writes them:
// `openssl genpkey -algorithm ed25519 -out FILE`, `openssl pkey -in FILE -pubout`.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace kiln {

/// Thread-safe.
class PublicKey {
 public:
  /// All keys of a PEM text, at least one. kInvalidArgument: there is none, or one of another kind.
  static Result<std::vector<PublicKey>> parse_pem(std::string_view text);
  /// SHA-256 of the 32 bytes that are the key.
  const Digest& id() const { return id_; }
  bool verifies(std::string_view message, std::string_view signature) const;

 private:
  friend class SigningKey;
  explicit PublicKey(std::shared_ptr<void> key);
  std::shared_ptr<void> key_;
  Digest id_;
};

/// Thread-safe.
class SigningKey {
 public:
  /// The private key of a PEM text. kInvalidArgument: none, or of another kind, or encrypted.
  static Result<SigningKey> parse_pem(std::string_view text);
  PublicKey public_key() const { return PublicKey(key_); }
  std::string sign(std::string_view message) const;  // 64 bytes

 private:
  explicit SigningKey(std::shared_ptr<void> key) : key_(std::move(key)) {}
  std::shared_ptr<void> key_;
};

}  // namespace kiln
