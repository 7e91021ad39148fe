// The cache of a registry's reference, and what the image of that name has in its config, if there
// is such an image: both are read with `--cache-from type=registry`.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/guarded.h"
#include "cache/transport.h"
#include "oci/reference.h"

namespace kiln::cache {

class ImageTransport : public CacheTransport {
 public:
  /// `inner`: what holds the entries beside the image, and the layers. `access` must outlive it.
  ImageTransport(const oci::RegistryAccess& access, oci::Reference image,
                 std::shared_ptr<CacheTransport> inner)
      : access_(access), image_(std::move(image)), inner_(std::move(inner)) {}

  std::string name() const override { return inner_->name(); }
  size_t batch() const override { return inner_->batch(); }
  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override;
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override {
    return inner_->fetch(blob, to, std::move(stop));
  }
  Status upload(const oci::BlobContent& content, std::stop_token stop) override {
    return inner_->upload(content, std::move(stop));
  }
  Status publish(std::span<const Publication> publications, std::stop_token stop) override {
    return inner_->publish(publications, std::move(stop));
  }
  Status finish(std::stop_token stop) override { return inner_->finish(std::move(stop)); }

 private:
  using Entries = std::map<CacheKey, std::string>;
  Result<std::shared_ptr<const Entries>> entries(const std::stop_token& stop);
  Status read_image(oci::Repository& from, const oci::Reference& name, int depth, Entries& into,
                    const std::stop_token& stop) const;

  const oci::RegistryAccess access_;
  const oci::Reference image_;
  const std::shared_ptr<CacheTransport> inner_;
  Guarded<std::shared_ptr<const Entries>> entries_;  // null until it was needed
};

}  // namespace kiln::cache
