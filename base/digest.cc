#include "base/digest.h"

// SHA256_*() are marked as old, and are what kiln needs: EVP loads configuration, names and
// providers when it is first used, a quarter of the instructions of a build that has nothing to do.
#define OPENSSL_SUPPRESS_DEPRECATED  // NOLINT(readability-identifier-naming)
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace kiln {
namespace {

constexpr std::string_view kPrefix = "sha256:";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) {
    if (text.starts_with("sha512:") || text.starts_with("sha384:"))
      return fail(Code::kUnimplemented,
                  "digest algorithm of \"" + std::string(text) + "\" is not supported");
    return fail(Code::kInvalidArgument,
                "\"" + std::string(text) + "\" is not a digest: expected sha256:<64 hex digits>");
  }
  const std::string_view hex = text.substr(kPrefix.size());
  Digest digest;
  bool valid = hex.size() == 2 * kBytes;
  for (size_t i = 0; valid && i < kBytes; ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    if (valid) digest.bytes_[i] = static_cast<std::byte>(high * 16 + low);
  }
  if (!valid)
    return fail(Code::kInvalidArgument,
                "\"" + std::string(text) + "\" is not a digest: expected sha256:<64 hex digits>");
  return digest;
}

Digest Digest::of(std::span<const std::byte> data) {
  Hasher hasher;
  hasher.update(data);
  return hasher.finish();
}

Digest Digest::of(std::string_view data) {
  return of(std::as_bytes(std::span(data.data(), data.size())));
}

Digest Digest::from_bytes(std::span<const std::byte, kBytes> bytes) {
  Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.bytes_.begin());
  return digest;
}

std::string Digest::hex() const {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * kBytes);
  for (const std::byte b : bytes_) {
    text.push_back(kDigits[static_cast<size_t>(b) >> 4U]);
    text.push_back(kDigits[static_cast<size_t>(b) & 15U]);
  }
  return text;
}

std::string Digest::to_string() const {
  return std::string(kPrefix) + hex();
}

struct Hasher::State {
  SHA256_CTX ctx;
  State() { start(); }
  void start() { KILN_CHECK(SHA256_Init(&ctx) == 1); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::span<const std::byte> data) {
  KILN_CHECK(SHA256_Update(&state_->ctx, data.data(), data.size()) == 1);
}

void Hasher::update(std::string_view data) {
  update(std::as_bytes(std::span(data.data(), data.size())));
}

Digest Hasher::finish() {
  std::array<std::byte, Digest::kBytes> bytes{};
  KILN_CHECK(SHA256_Final(reinterpret_cast<unsigned char*>(bytes.data()), &state_->ctx) == 1);
  state_->start();
  return Digest::from_bytes(bytes);
}

}  // namespace kiln

size_t std::hash<kiln::Digest>::operator()(const kiln::Digest& d) const noexcept {
  size_t value = 0;
  std::memcpy(&value, d.bytes().data(), sizeof value);  // SHA-256 output is already uniform
  return value;
}
