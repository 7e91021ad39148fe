// A shared cache on a kiln server (docs/serve.md, "Build cache"): the entries of a registry cache,
// asked for and published many at a time. Layers travel as in any registry.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "cache/registry_transport.h"
#include "oci/registry_session.h"

namespace kiln::cache {

class KilnTransport : public CacheTransport {
 public:
  /// As RegistryTransport::open.
  static Result<std::unique_ptr<KilnTransport>> open(const oci::RegistryAccess& access,
                                                     const oci::Reference& reference,
                                                     RegistryTransport::Use use);

  std::string name() const override { return "kiln cache " + reference_.to_string(); }
  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override;
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override {
    return registry_->fetch(blob, to, std::move(stop));
  }
  Status upload(const oci::BlobContent& content, std::stop_token stop) override {
    return registry_->upload(content, std::move(stop));
  }
  Status publish(std::span<const Publication> publications, std::stop_token stop) override;

 private:
  KilnTransport(const oci::RegistryAccess& access, oci::Reference reference,
                RegistryTransport::Use use, std::unique_ptr<RegistryTransport> registry)
      : access_(access),
        reference_(std::move(reference)),
        use_(use),
        registry_(std::move(registry)) {}
  Result<std::shared_ptr<oci::RegistrySession>> session(const std::stop_token& stop);
  Status add(std::span<const Publication> publications, const std::stop_token& stop);
  Result<Json> ask(const std::string& what, const Json& request, const std::stop_token& stop);

  const oci::RegistryAccess access_;
  const oci::Reference reference_;
  const RegistryTransport::Use use_;
  const std::unique_ptr<RegistryTransport> registry_;
  Guarded<std::shared_ptr<oci::RegistrySession>> session_;  // null until it was needed
};

}  // namespace kiln::cache
