#include "cmd/registry_pull.h"

#include "oci/image.h"
#include "oci/transfer.h"

namespace kiln::cmd {
namespace {

class RegistryPull {
 public:
  RegistryPull(Engine& engine, std::shared_ptr<Registries> registries)
      : engine_(engine), registries_(std::move(registries)) {}

  Result<oci::Descriptor> pull(const oci::Reference& name, const Platform& platform,
                               ImageExtent extent, JobContext& job) {
    KILN_TRY_ASSIGN(const oci::RegistryAccess access, registries_->access());
    const auto report = [&job](const oci::Descriptor& blob, uint64_t done) {
      job.progress.on_event(
          Transfer{job.vertex, blob.digest.to_string(), done, blob.size, done == blob.size});
    };
    const auto part =
        extent == ImageExtent::kWhole ? oci::PullExtent::kImage : oci::PullExtent::kConfig;
    KILN_TRY_ASSIGN(oci::Descriptor image,
                    oci::pull_image(access, engine_.content(), engine_.lease(), name, platform,
                                    {report}, job.stop, part));
    if (!name.digest) registries_->remember(name, image.digest);
    if (name.tag.empty()) return image;
    KILN_TRY_ASSIGN(const bool whole,
                    extent == ImageExtent::kWhole ? Result<bool>(true) : layers_are_here(image));
    if (whole) KILN_TRY(give_name(name, image));
    return image;
  }

 private:
  // So that the next build finds it and a prune does not take it for waste.
  Status give_name(const oci::Reference& name, const oci::Descriptor& image) {
    oci::Reference known = name;
    if (registries_->remembers(name, image.digest)) known.digest.reset();
    return engine_.images().tag(known, image);
  }

  /// Of one of its platforms: all of them may have been shared with another image.
  Result<bool> layers_are_here(const oci::Descriptor& image) {
    std::vector<oci::Descriptor> manifests{image};
    if (oci::is_index(image.media_type)) {
      KILN_TRY_ASSIGN(manifests, oci::present_manifests(engine_.content(), image));
    }
    for (const oci::Descriptor& manifest : manifests) {
      KILN_TRY_ASSIGN(const std::vector<Digest> blobs,
                      oci::reachable_blobs(engine_.content(), manifest));
      bool all = true;
      for (const Digest& blob : blobs) {
        KILN_TRY_ASSIGN(const bool here, engine_.content().touch(blob, engine_.lease()));
        all = all && here;
      }
      if (all) return true;
    }
    return false;
  }

  Engine& engine_;
  const std::shared_ptr<Registries> registries_;
};

}  // namespace

PullImage make_registry_pull(Engine& engine, std::shared_ptr<Registries> registries) {
  auto pull = std::make_shared<RegistryPull>(engine, std::move(registries));
  return [pull](const oci::Reference& name, const Platform& platform, ImageExtent extent,
                JobContext& job) { return pull->pull(name, platform, extent, job); };
}

}  // namespace kiln::cmd
