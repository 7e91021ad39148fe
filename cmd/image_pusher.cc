#include "cmd/image_pusher.h"

#include <map>

#include "oci/push.h"

namespace kiln::cmd {
namespace {

class Pusher {
 public:
  Pusher(Engine& engine, std::shared_ptr<Registries> registries)
      : engine_(engine), registries_(std::move(registries)) {}

  Status push(const PushOrder& order, const oci::PushEvents& events, std::stop_token stop) {
    // Several tags of one repository share what is sent.
    std::map<std::string, std::unique_ptr<oci::ImagePush>> pushes;
    for (const oci::Reference& name : order.names) {
      auto& push = pushes[name.name()];
      if (push) continue;
      KILN_TRY_ASSIGN(push, open(name, order, stop));
      KILN_TRY(push->send(events, stop));
    }
    if (order.by == PushBy::kDigest) return {};
    for (const oci::Reference& name : order.names)
      KILN_TRY(pushes.at(name.name())->tag(name.tag, stop));
    return {};
  }

 private:
  Result<std::unique_ptr<oci::ImagePush>> open(const oci::Reference& name, const PushOrder& order,
                                               const std::stop_token& stop) {
    KILN_TRY_ASSIGN(const oci::RegistryAccess access,
                    order.transport == Transport::kInsecure
                        ? registries_->insecure_access(name.domain)
                        : registries_->access());
    KILN_TRY_ASSIGN(oci::BlobOrigins origins,
                    oci::blob_origins(engine_.images(), engine_.content(), name.domain));
    return oci::ImagePush::open(access, engine_.content(), {order.image, name, std::move(origins)},
                                stop);
  }

  Engine& engine_;
  const std::shared_ptr<Registries> registries_;
};

}  // namespace

PushImage make_pusher(Engine& engine, std::shared_ptr<Registries> registries) {
  auto pusher = std::make_shared<Pusher>(engine, std::move(registries));
  return [pusher](const PushOrder& order, const oci::PushEvents& events, std::stop_token stop) {
    return pusher->push(order, events, std::move(stop));
  };
}

}  // namespace kiln::cmd
