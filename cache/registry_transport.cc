#include "cache/registry_transport.h"

#include "base/parallel.h"
#include "base/strings.h"
#include "cache/entry.h"
#include "cache/entry_manifest.h"

namespace kiln::cache {
namespace {

constexpr size_t kAtOnce = 8;

}  // namespace

Result<std::unique_ptr<RegistryTransport>> RegistryTransport::open(
    const oci::RegistryAccess& access, const oci::Reference& reference, Use use) {
  if (reference.digest)
    return fail(Code::kInvalidArgument,
                "cache " + quote(reference.to_string()) + ": a cache is named by a tag");
  if (reference.tag.size() > kMaxCacheTag)
    return fail(Code::kInvalidArgument,
                "cache " + quote(reference.to_string()) + ": the tag has more than " +
                    std::to_string(kMaxCacheTag) + " characters, which leaves no room for keys");
  return std::unique_ptr<RegistryTransport>(new RegistryTransport(access, reference, use));
}

// Two that find none at once open two, which is only a waste.
Result<std::shared_ptr<oci::Repository>> RegistryTransport::repository(
    const std::stop_token& stop) {
  if (auto open = *repository_.lock()) return open;
  const auto rights = use_ == Use::kWrite ? oci::RegistryRights::kPush : oci::RegistryRights::kPull;
  KILN_TRY_ASSIGN(std::shared_ptr<oci::Repository> opened,
                  oci::Repository::open(access_, reference_, stop, rights));
  *repository_.lock() = opened;
  return opened;
}

oci::Reference RegistryTransport::tagged(const CacheKey& key) const {
  oci::Reference name = reference_;
  name.tag = entry_tag(reference_.tag, key);
  return name;
}

Result<std::optional<std::string>> RegistryTransport::entry(const CacheKey& key,
                                                            const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const auto from, repository(stop));
  const auto document = from->manifest(tagged(key), stop);
  if (!document) {
    if (document.error().code() == Code::kNotFound) return std::nullopt;
    return tl::unexpected(document.error());
  }
  return entry_in_manifest(document->text);
}

Result<std::vector<std::optional<std::string>>> RegistryTransport::lookup(
    std::span<const CacheKey> keys, std::stop_token stop) {
  std::vector<std::optional<std::string>> entries(keys.size());
  KILN_TRY(for_each_at_once(keys.size(), kAtOnce, [&](size_t i) -> Status {
    KILN_TRY_ASSIGN(entries[i], entry(keys[i], stop));
    return {};
  }));
  return entries;
}

Status RegistryTransport::fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) {
  KILN_TRY_ASSIGN(const auto from, repository(stop));
  return from->blob(
      blob, to, [](uint64_t) {}, std::move(stop));
}

Status RegistryTransport::upload(const oci::BlobContent& content, std::stop_token stop) {
  KILN_TRY_ASSIGN(const auto to, repository(stop));
  KILN_TRY(to->upload(
      content, {}, [](uint64_t) {}, std::move(stop)));
  return {};
}

Status RegistryTransport::upload_config(const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const auto to, repository(stop));
  const auto open = [](uint64_t from) -> Result<std::unique_ptr<Source>> {
    return std::make_unique<StringSource>(std::string(kEmptyDocument.substr(from)));
  };
  KILN_TRY(to->upload(
      {empty_descriptor(), open}, {}, [](uint64_t) {}, stop));
  return {};
}

Status RegistryTransport::publish(std::span<const Publication> publications, std::stop_token stop) {
  if (publications.empty()) return {};
  KILN_TRY(upload_config(stop));
  return for_each_at_once(publications.size(), kAtOnce,
                          [&](size_t i) { return publish_one(publications[i], stop); });
}

// Of two at once either may win: both entries are whole. One that does not read is replaced.
Status RegistryTransport::publish_one(const Publication& publication, const std::stop_token& stop) {
  if (!publication.replaces) {
    KILN_TRY_ASSIGN(const auto present, entry(publication.key, stop));
    if (present && decode_entry(publication.key, *present)) return {};
  }
  KILN_TRY_ASSIGN(const auto to, repository(stop));
  Status put = to->put_manifest(std::string(oci::media_type::kManifest),
                                entry_manifest(publication), tagged(publication.key).tag, stop);
  if (put || publication.replaces) return put;
  // A server that keeps the first one refuses another: somebody else's came meanwhile.
  const auto present = entry(publication.key, stop);
  if (present && *present && decode_entry(publication.key, **present)) return {};
  return put;
}

}  // namespace kiln::cache
