#include "base/ed25519.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <optional>

namespace kiln {
namespace {

constexpr size_t kKeyBytes = 32, kSignatureBytes = 64;

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Bio = std::unique_ptr<BIO, BioFree>;
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

Bio reader_of(std::string_view text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  KILN_CHECK(bio != nullptr);
  return bio;
}

std::shared_ptr<void> owned(EVP_PKEY* key) {
  return {key, [](void* held) { EVP_PKEY_free(static_cast<EVP_PKEY*>(held)); }};
}

EVP_PKEY* pkey(const std::shared_ptr<void>& key) {
  return static_cast<EVP_PKEY*>(key.get());
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Instead of asking on the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) {
  return -1;
}

Status check_kind(EVP_PKEY* key) {
  if (EVP_PKEY_get_id(key) == EVP_PKEY_ED25519) return {};
  return fail(Code::kInvalidArgument, "it is a key of another kind: expected Ed25519");
}

/// One block of a PEM text.
struct Block {
  struct Free {
    void operator()(void* bytes) const { OPENSSL_free(bytes); }
  };
  bool is_public_key = false;
  std::unique_ptr<unsigned char, Free> data;
  long size = 0;
};

std::optional<Block> next_block(BIO* bio) {
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  Block block;
  if (PEM_read_bio(bio, &name, &header, &data, &block.size) != 1) return std::nullopt;
  const std::unique_ptr<char, Block::Free> owned_name(name), owned_header(header);
  block.data.reset(data);
  block.is_public_key = std::string_view(name) == PEM_STRING_PUBLIC;
  return block;
}

tl::unexpected<Error> not_public_keys() {
  return fail(Code::kInvalidArgument,
              "expected public keys in PEM, \"-----BEGIN PUBLIC KEY-----\"");
}

Digest id_of(EVP_PKEY* key) {
  std::array<unsigned char, kKeyBytes> raw{};
  size_t size = raw.size();
  KILN_CHECK(EVP_PKEY_get_raw_public_key(key, raw.data(), &size) == 1);
  return Digest::of(std::string_view(reinterpret_cast<const char*>(raw.data()), size));
}

}  // namespace

PublicKey::PublicKey(std::shared_ptr<void> key) : key_(std::move(key)), id_(id_of(pkey(key_))) {}

Result<std::vector<PublicKey>> PublicKey::parse_pem(std::string_view text) {
  const Bio bio = reader_of(text);
  std::vector<PublicKey> keys;
  while (const std::optional<Block> block = next_block(bio.get())) {
    const unsigned char* at = block->data.get();
    EVP_PKEY* const read = block->is_public_key ? d2i_PUBKEY(nullptr, &at, block->size) : nullptr;
    ERR_clear_error();
    if (read == nullptr) return not_public_keys();
    std::shared_ptr<void> key = owned(read);
    KILN_TRY(check_kind(read));
    keys.push_back(PublicKey(std::move(key)));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end || keys.empty()) return not_public_keys();
  return keys;
}

bool PublicKey::verifies(std::string_view message, std::string_view signature) const {
  if (signature.size() != kSignatureBytes) return false;
  const Context context(EVP_MD_CTX_new());
  const bool good =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey(key_)) == 1 &&
      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                       message.size()) == 1;
  ERR_clear_error();
  return good;
}

Result<SigningKey> SigningKey::parse_pem(std::string_view text) {
  const Bio bio = reader_of(text);
  EVP_PKEY* const read = PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr);
  ERR_clear_error();
  if (read == nullptr)
    return fail(Code::kInvalidArgument,
                "expected a private key in PEM, \"-----BEGIN PRIVATE KEY-----\", not encrypted");
  std::shared_ptr<void> key = owned(read);
  KILN_TRY(check_kind(read));
  return SigningKey(std::move(key));
}

std::string SigningKey::sign(std::string_view message) const {
  const Context context(EVP_MD_CTX_new());
  std::string signature(kSignatureBytes, '\0');
  size_t size = signature.size();
  KILN_CHECK(context != nullptr);
  KILN_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey(key_)) == 1);
  KILN_CHECK(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                            &size, bytes_of(message), message.size()) == 1);
  KILN_CHECK(size == kSignatureBytes);
  return signature;
}

}  // namespace kiln
