#include "cache/server/blob_digest.h"

// As in base/digest.cc: these need nothing of OpenSSL's configuration.
#define OPENSSL_SUPPRESS_DEPRECATED  // NOLINT(readability-identifier-naming)
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <variant>

#include "base/io.h"

namespace kiln::server {
namespace {

constexpr std::array kAlgorithms = {HashAlgorithm::kSha256, HashAlgorithm::kSha512};

size_t hex_length(HashAlgorithm algorithm) {
  return 2 * (algorithm == HashAlgorithm::kSha256 ? SHA256_DIGEST_LENGTH : SHA512_DIGEST_LENGTH);
}

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

}  // namespace

std::string_view to_string(HashAlgorithm algorithm) {
  return algorithm == HashAlgorithm::kSha256 ? "sha256" : "sha512";
}

Result<BlobDigest> BlobDigest::parse(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    if (colon == std::string_view::npos || name != server::to_string(algorithm)) continue;
    const std::string_view hex = text.substr(colon + 1);
    if (hex.size() == hex_length(algorithm) && is_lower_hex(hex))
      return BlobDigest(algorithm, std::string(hex));
    return fail(Code::kInvalidArgument, "\"" + std::string(text) + "\" is not a digest: expected " +
                                            std::to_string(hex_length(algorithm)) +
                                            " lower-case hex digits");
  }
  if (colon != std::string_view::npos && colon > 0 && !is_lower_hex(name))
    return fail(Code::kUnimplemented,
                "digests of algorithm \"" + std::string(name) + "\" are not supported");
  return fail(Code::kInvalidArgument, "\"" + std::string(text) + "\" is not a digest");
}

Result<BlobDigest> BlobDigest::from_component(std::string_view name) {
  std::string text(name);
  if (const size_t dash = text.find('-'); dash != std::string::npos) text[dash] = ':';
  return parse(text);
}

BlobDigest BlobDigest::of(HashAlgorithm algorithm, std::string_view data) {
  BlobHasher hasher(algorithm);
  hasher.update(as_bytes(data));
  return hasher.finish();
}

std::string BlobDigest::to_string() const {
  return std::string(server::to_string(algorithm_)) + ":" + hex_;
}

std::string BlobDigest::component() const {
  return std::string(server::to_string(algorithm_)) + "-" + hex_;
}

struct BlobHasher::State {
  std::variant<SHA256_CTX, SHA512_CTX> ctx;
};

BlobHasher::BlobHasher(HashAlgorithm algorithm)
    : algorithm_(algorithm), state_(std::make_unique<State>()) {
  if (algorithm == HashAlgorithm::kSha256)
    KILN_CHECK(SHA256_Init(&state_->ctx.emplace<SHA256_CTX>()) == 1);
  else
    KILN_CHECK(SHA512_Init(&state_->ctx.emplace<SHA512_CTX>()) == 1);
}
BlobHasher::~BlobHasher() = default;
BlobHasher::BlobHasher(BlobHasher&&) noexcept = default;
BlobHasher& BlobHasher::operator=(BlobHasher&&) noexcept = default;

void BlobHasher::update(std::span<const std::byte> data) {
  if (auto* sha256 = std::get_if<SHA256_CTX>(&state_->ctx))
    KILN_CHECK(SHA256_Update(sha256, data.data(), data.size()) == 1);
  else
    KILN_CHECK(SHA512_Update(&std::get<SHA512_CTX>(state_->ctx), data.data(), data.size()) == 1);
}

BlobDigest BlobHasher::finish() {
  std::array<unsigned char, SHA512_DIGEST_LENGTH> bytes{};
  size_t length = SHA512_DIGEST_LENGTH;
  if (auto* sha256 = std::get_if<SHA256_CTX>(&state_->ctx)) {
    KILN_CHECK(SHA256_Final(bytes.data(), sha256) == 1);
    length = SHA256_DIGEST_LENGTH;
  } else {
    KILN_CHECK(SHA512_Final(bytes.data(), &std::get<SHA512_CTX>(state_->ctx)) == 1);
  }
  return {algorithm_, hex_of(std::span(bytes).first(length))};
}

std::string keyed_hash(std::string_view key, std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> bytes{};
  unsigned int length = 0;
  KILN_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                  reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data(),
                  &length) != nullptr);
  return hex_of(bytes);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace kiln::server
