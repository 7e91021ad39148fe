// Entries as signed claims (cache/FORMAT.md, "Claims"): no digest proves that a recipe gave a
// result, so who reads a cache may ask who says so (SAFETY.md 4.5).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ed25519.h"
#include "cache/transport.h"

namespace kiln::cache {

struct Claim {
  std::string entry;
  std::optional<Digest> signer;  // PublicKey::id(); nullopt: it is not signed
  std::string signature;
};

std::string encode_claim(std::string_view entry, const SigningKey& key);
/// Of a signed entry or a plain one; the signature is not looked at. kDataLoss: torn.
Result<Claim> decode_claim(std::string_view bytes);
/// True: one of `trusted` signed it.
bool holds(const Claim& claim, const std::vector<PublicKey>& trusted);

/// A transport whose entries are signed when they are published, and only believed if somebody
/// trusted signed them.
class SignedTransport : public CacheTransport {
 public:
  struct Config {
    std::shared_ptr<CacheTransport> transport;
    std::vector<PublicKey> trusted;     // empty: everybody is believed
    std::optional<SigningKey> signing;  // nullopt: publications are not signed
    std::function<void()> on_refused;   // once: an entry was passed over
  };
  explicit SignedTransport(Config config) : config_(std::move(config)) {}

  std::string name() const override { return config_.transport->name(); }
  size_t batch() const override { return config_.transport->batch(); }
  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override;
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override {
    return config_.transport->fetch(blob, to, std::move(stop));
  }
  Status upload(const oci::BlobContent& content, std::stop_token stop) override {
    return config_.transport->upload(content, std::move(stop));
  }
  Status publish(std::span<const Publication> publications, std::stop_token stop) override;
  Status finish(std::stop_token stop) override {
    return config_.transport->finish(std::move(stop));
  }

 private:
  const Config config_;
  std::once_flag refused_;
};

}  // namespace kiln::cache
