#include "base/digest.h"

#include <openssl/evp.h>

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

// EVP_sha256() makes EVP_DigestInit_ex fetch the provider's method each time (about 1 us, which
// counts for 40,000 files of 4 KiB). One fetch serves the whole process; it is immutable
// afterwards.
const EVP_MD* sha256_method() {
  static const EVP_MD* const kMethod = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  KILN_CHECK(kMethod != nullptr);
  return kMethod;
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
  EVP_MD_CTX* ctx = EVP_MD_CTX_new();
  State() { KILN_CHECK(ctx != nullptr); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(ctx); }
  void start() { KILN_CHECK(EVP_DigestInit_ex(ctx, sha256_method(), nullptr) == 1); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  state_->start();
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::span<const std::byte> data) {
  KILN_CHECK(EVP_DigestUpdate(state_->ctx, data.data(), data.size()) == 1);
}

void Hasher::update(std::string_view data) {
  update(std::as_bytes(std::span(data.data(), data.size())));
}

Digest Hasher::finish() {
  std::array<std::byte, Digest::kBytes> bytes{};
  unsigned int size = 0;
  KILN_CHECK(
      EVP_DigestFinal_ex(state_->ctx, reinterpret_cast<unsigned char*>(bytes.data()), &size) == 1);
  KILN_CHECK(size == Digest::kBytes);
  state_->start();
  return Digest::from_bytes(bytes);
}

}  // namespace kiln

size_t std::hash<kiln::Digest>::operator()(const kiln::Digest& d) const noexcept {
  size_t value = 0;
  std::memcpy(&value, d.bytes().data(), sizeof value);  // SHA-256 output is already uniform
  return value;
}
