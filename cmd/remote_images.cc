#include "cmd/remote_images.h"

#include "base/strings.h"
#include "oci/image.h"

namespace kiln::cmd {

Result<oci::Repository*> RemoteImages::repository(const oci::Reference& name,
                                                  oci::RegistryRights rights) {
  auto& opened = opened_[{name.name(), rights}];
  if (!opened) {
    KILN_TRY_ASSIGN(const oci::RegistryAccess access, registries_.access());
    auto fresh = oci::Repository::open(access, name, stop_, rights);
    if (!fresh) return tl::unexpected(fresh.error().wrap(quote(name.name())));
    opened = *std::move(fresh);
  }
  return opened.get();
}

Result<oci::Repository::Document> RemoteImages::manifest(const oci::Reference& name) {
  KILN_TRY_ASSIGN(oci::Repository* const from, repository(name));
  auto document = from->manifest(name, stop_);
  if (!document) return tl::unexpected(document.error().wrap(quote(name.familiar())));
  return document;
}

Result<std::optional<Json>> RemoteImages::config(const oci::Reference& name,
                                                 const std::string& manifest) {
  KILN_TRY_ASSIGN(const oci::Manifest image, oci::parse_manifest(manifest));
  const std::string& type = image.config.media_type;
  if (type != oci::media_type::kConfig && type != oci::media_type::kDockerConfig)
    return std::nullopt;
  if (image.config.size > oci::kMaxConfigBytes)
    return fail(Code::kResourceExhausted,
                "the config of " + quote(name.familiar()) + " is larger than 8 MiB");
  KILN_TRY_ASSIGN(oci::Repository* const from, repository(name));
  StringSink text;
  if (const Status fetched = from->blob(image.config, text, {}, stop_); !fetched)
    return tl::unexpected(fetched.error().wrap("the config of " + quote(name.familiar())));
  if (Digest::of(text.data()) != image.config.digest)
    return fail(Code::kDataLoss,
                "the config of " + quote(name.familiar()) + " is not what its digest says");
  KILN_TRY_ASSIGN(Json config, Json::parse(text.data()));
  return std::optional<Json>(std::move(config));
}

}  // namespace kiln::cmd
