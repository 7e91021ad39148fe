// Where an image can be had: the mirrors that are configured for its registry, then the registry.
// Each is asked with its own credentials. A mirror that fails costs one try, not the pull.
#pragma once

#include "oci/content_store.h"
#include "oci/registry_client.h"

#include <atomic>
#include <memory>
#include <stop_token>
#include <vector>

namespace kiln::oci {

/// Thread-safe.
class ImageHosts {
 public:
  static Result<std::unique_ptr<ImageHosts>> open(const RegistryAccess& access,
                                                  const Reference& name, std::stop_token stop);

  /// As Repository::manifest, of the first that has it; the error is the registry's own.
  Result<Repository::Document> manifest(const Reference& name, std::stop_token stop);
  /// Fetches the blob into the store. What a mirror has wrong is fetched from the next.
  Status fetch(const Descriptor& blob, ContentStore& content, const Lease& lease,
               const OnBytes& on_bytes, std::stop_token stop);

 private:
  struct Host {
    std::unique_ptr<Repository> repository;
    std::atomic<bool> failed = false;  // not asked again: it does not answer
  };
  ImageHosts() = default;
  std::vector<std::unique_ptr<Host>> hosts_;  // the registry last
};

}  // namespace kiln::oci
