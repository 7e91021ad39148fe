#include "cmd/registry_pull.h"

#include <memory>
#include <mutex>

#include "base/http_client.h"
#include "oci/transfer.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kDockerConfigLimit = 4U << 20U;

std::string docker_config_path(const Environment& environment) {
  if (const auto it = environment.find("DOCKER_CONFIG");
      it != environment.end() && !it->second.empty())
    return it->second + "/config.json";
  const auto home = environment.find("HOME");
  return home == environment.end() ? "" : home->second + "/.docker/config.json";
}

class RegistryPull {
 public:
  RegistryPull(Engine& engine, std::string config, ImageExtent extent)
      : engine_(engine), config_(std::move(config)), extent_(extent) {}

  Result<oci::Descriptor> pull(const oci::Reference& name, const Platform& platform,
                               JobContext& job) {
    KILN_TRY(prepare());
    const oci::RegistryAccess access{http_.get(), &credentials_};
    const auto report = [&job](const oci::Descriptor& blob, uint64_t done) {
      job.progress.on_event(
          Transfer{job.vertex, blob.digest.to_string(), done, blob.size, done == blob.size});
    };
    const bool whole = extent_ == ImageExtent::kWhole;
    KILN_TRY_ASSIGN(
        oci::Descriptor image,
        oci::pull_image(access, engine_.content(), engine_.lease(), name, platform, report,
                        job.stop, whole ? oci::PullExtent::kImage : oci::PullExtent::kConfig));
    // Named, so that the next build finds it and a prune does not take it for waste.
    if (whole && !name.tag.empty()) KILN_TRY(engine_.images().tag(name, image));
    return image;
  }

 private:
  Status prepare() {
    const std::lock_guard hold(mutex_);
    if (http_) return {};
    std::string text;
    if (!config_.empty()) {
      KILN_TRY_ASSIGN(const bool there, exists(config_));
      if (there) {
        KILN_TRY_ASSIGN(text, read_file(config_, kDockerConfigLimit));
      }
    }
    Result<oci::CredentialStore> credentials = oci::CredentialStore::parse(text);
    if (!credentials) return tl::unexpected(credentials.error().wrap("read \"" + config_ + "\""));
    credentials_ = *std::move(credentials);
    http_ = HttpClient::create("kiln/" KILN_VERSION);
    return {};
  }

  Engine& engine_;
  const std::string config_;
  const ImageExtent extent_;
  std::mutex mutex_;  // the two below, until prepare() has set them
  std::unique_ptr<HttpClient> http_;
  oci::CredentialStore credentials_;
};

}  // namespace

PullImage make_registry_pull(Engine& engine, const Environment& environment, ImageExtent extent) {
  auto pull = std::make_shared<RegistryPull>(engine, docker_config_path(environment), extent);
  return [pull](const oci::Reference& name, const Platform& platform, JobContext& job) {
    return pull->pull(name, platform, job);
  };
}

}  // namespace kiln::cmd
