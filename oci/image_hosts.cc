#include "oci/image_hosts.h"

namespace kiln::oci {

Result<std::unique_ptr<ImageHosts>> ImageHosts::open(const RegistryAccess& access,
                                                     const Reference& name, std::stop_token stop) {
  std::unique_ptr<ImageHosts> hosts(new ImageHosts);
  HostConfig config;
  if (access.config != nullptr) {
    KILN_TRY_ASSIGN(config, access.config->find(name.domain));
  }
  RegistryAccess once = access;
  once.repetitions = 0;  // the next one is there for that
  for (const std::string& mirror : config.mirrors) {
    auto host = std::make_unique<Host>();
    KILN_TRY_ASSIGN(host->repository, Repository::open_mirror(once, mirror, name, stop));
    hosts->hosts_.push_back(std::move(host));
  }
  auto origin = std::make_unique<Host>();
  KILN_TRY_ASSIGN(origin->repository, Repository::open(access, name, stop));
  hosts->hosts_.push_back(std::move(origin));
  return hosts;
}

Result<Repository::Document> ImageHosts::manifest(const Reference& name, std::stop_token stop) {
  for (size_t i = 0;; ++i) {
    Host& host = *hosts_[i];
    const bool last = i + 1 == hosts_.size();
    if (host.failed && !last) continue;
    auto document = host.repository->manifest(name, stop);
    if (document || last || document.error().code() == Code::kCancelled) return document;
    if (document.error().code() == Code::kUnavailable) host.failed = true;
  }
}

Status ImageHosts::fetch(const Descriptor& blob, ContentStore& content, const Lease& lease,
                         const OnBytes& on_bytes, std::stop_token stop) {
  for (size_t i = 0;; ++i) {
    Host& host = *hosts_[i];
    const bool last = i + 1 == hosts_.size();
    if (host.failed && !last) continue;
    // Each begins anew: what one sent says nothing about what another has.
    KILN_TRY_ASSIGN(const auto writer, content.writer(lease));
    Status done = host.repository->blob(blob, *writer, on_bytes, stop);
    if (done) {
      const auto committed = writer->commit(blob.digest);
      if (!committed) done = tl::unexpected(committed.error());
    }
    if (done || last || done.error().code() == Code::kCancelled) return done;
    if (done.error().code() == Code::kUnavailable) host.failed = true;
  }
}

}  // namespace kiln::oci
