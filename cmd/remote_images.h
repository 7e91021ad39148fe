// Images where they are, in registries: for `kiln imagetools`. Mirrors are not asked: what is
// looked at is the registry itself.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/json.h"
#include "cmd/registries.h"
#include "oci/registry_client.h"

namespace kiln::cmd {

class RemoteImages {
 public:
  RemoteImages(const Environment& environment, std::stop_token stop)
      : registries_(environment), stop_(std::move(stop)) {}

  /// Valid as long as this.
  Result<oci::Repository*> repository(const oci::Reference& name,
                                      oci::RegistryRights rights = oci::RegistryRights::kPull);
  Result<oci::Repository::Document> manifest(const oci::Reference& name);
  /// The config of an image's manifest; nullopt: what it names is no image config.
  Result<std::optional<Json>> config(const oci::Reference& name, const std::string& manifest);
  const std::stop_token& stop() const { return stop_; }

 private:
  Registries registries_;
  std::stop_token stop_;
  std::map<std::pair<std::string, oci::RegistryRights>, std::unique_ptr<oci::Repository>> opened_;
};

}  // namespace kiln::cmd
