#include "cache/claim.h"

#include <algorithm>

#include "cache/entry.h"
#include "cache/fields.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kClaimMagic = "kiln.claim.v1";

enum ClaimTag : uint8_t { kEntry = 1, kSigner = 2, kSignature = 3 };

// What is signed: these signatures stand for nothing but entries.
std::string message_of(std::string_view entry) {
  return std::string(kClaimMagic) + std::string(entry);
}

}  // namespace

std::string encode_claim(std::string_view entry, const SigningKey& key) {
  FieldWriter out(kClaimMagic);
  out.text(kEntry, entry);
  out.digest(kSigner, key.public_key().id());
  out.text(kSignature, key.sign(message_of(entry)));
  return std::move(out).sealed();
}

Result<Claim> decode_claim(std::string_view bytes) {
  if (!bytes.starts_with(kClaimMagic)) return Claim{std::string(bytes), std::nullopt, {}};
  KILN_TRY_ASSIGN(FieldReader in, FieldReader::open(kClaimMagic, bytes));
  Claim claim;
  KILN_TRY_ASSIGN(claim.entry, in.text(kEntry));
  KILN_TRY_ASSIGN(claim.signer, in.digest(kSigner));
  KILN_TRY_ASSIGN(claim.signature, in.text(kSignature));
  if (!in.at_end()) return fail(Code::kDataLoss, "the claim has more than it should");
  return claim;
}

bool holds(const Claim& claim, const std::vector<PublicKey>& trusted) {
  return std::any_of(trusted.begin(), trusted.end(), [&](const PublicKey& key) {
    return claim.signer == key.id() && key.verifies(message_of(claim.entry), claim.signature);
  });
}

Result<std::vector<std::optional<std::string>>> SignedTransport::lookup(
    std::span<const CacheKey> keys, std::stop_token stop) {
  KILN_TRY_ASSIGN(auto entries, config_.transport->lookup(keys, std::move(stop)));
  if (config_.trusted.empty()) return entries;
  for (std::optional<std::string>& entry : entries) {
    if (!entry) continue;
    Result<Claim> claim = decode_claim(*entry);
    if (claim && holds(*claim, config_.trusted)) {
      entry = std::move(claim->entry);
      continue;
    }
    entry.reset();
    if (config_.on_refused) std::call_once(refused_, config_.on_refused);
  }
  return entries;
}

Status SignedTransport::publish(std::span<const Publication> publications, std::stop_token stop) {
  if (!config_.signing) return config_.transport->publish(publications, std::move(stop));
  std::vector<Publication> claims;
  claims.reserve(publications.size());
  for (const Publication& publication : publications) {
    std::string claim = encode_claim(publication.entry, *config_.signing);
    if (claim.size() > kMaxEntryBytes) continue;  // nobody would read it
    claims.push_back({publication.key, std::move(claim), publication.blobs, publication.replaces});
  }
  return config_.transport->publish(claims, std::move(stop));
}

}  // namespace kiln::cache
