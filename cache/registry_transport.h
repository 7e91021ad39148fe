// A shared cache in a repository of a registry (cache/FORMAT.md, "Caches in registries"): each
// entry is a small manifest with a tag of its own, so that concurrent writers never undo each
// other's work, and which holds the layers that the entry names.
#pragma once

#include <memory>
#include <string>

#include "cache/transport.h"
#include "oci/reference.h"
#include "oci/registry_client.h"

namespace kiln::cache {

class RegistryTransport : public CacheTransport {
 public:
  enum class Use : uint8_t { kRead, kWrite };
  /// Nothing is asked yet. `access` must outlive it. Entries are tagged REF_TAG.KEY, so that one
  /// repository has room for several caches. kInvalidArgument: a tag too long for that, a digest.
  static Result<std::unique_ptr<RegistryTransport>> open(const oci::RegistryAccess& access,
                                                         const oci::Reference& reference, Use use);

  std::string name() const override { return "registry cache " + reference_.to_string(); }
  size_t batch() const override { return 32; }  // a request for each
  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override;
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override;
  Status upload(const oci::BlobContent& content, std::stop_token stop) override;
  Status publish(std::span<const Publication> publications, std::stop_token stop) override;
  /// What every entry's manifest refers to besides its layers.
  Status upload_config(const std::stop_token& stop);

 private:
  RegistryTransport(const oci::RegistryAccess& access, oci::Reference reference, Use use)
      : access_(access), reference_(std::move(reference)), use_(use) {}
  Result<std::shared_ptr<oci::Repository>> repository(const std::stop_token& stop);
  oci::Reference tagged(const CacheKey& key) const;
  Result<std::optional<std::string>> entry(const CacheKey& key, const std::stop_token& stop);
  Status publish_one(const Publication& publication, const std::stop_token& stop);

  const oci::RegistryAccess access_;
  const oci::Reference reference_;
  const Use use_;
  Guarded<std::shared_ptr<oci::Repository>> repository_;  // null until it was needed
};

}  // namespace kiln::cache
