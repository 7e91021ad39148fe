#include "cache/image_transport.h"

#include "cache/inline_cache.h"

namespace kiln::cache {
namespace {

constexpr size_t kMaxPlatforms = 16;  // of an index that are looked at

// What an image lacks, or has wrong, is no reason to leave the registry alone.
bool is_harmless(const Error& error) {
  return error.code() != Code::kCancelled && error.code() != Code::kUnavailable;
}

}  // namespace

Result<std::vector<std::optional<std::string>>> ImageTransport::lookup(
    std::span<const CacheKey> keys, std::stop_token stop) {
  KILN_TRY_ASSIGN(const auto known, entries(stop));
  std::vector<std::optional<std::string>> found(keys.size());
  std::vector<CacheKey> others;
  std::vector<size_t> places;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (const auto entry = known->find(keys[i]); entry != known->end()) {
      found[i] = entry->second;
    } else {
      others.push_back(keys[i]);
      places.push_back(i);
    }
  }
  if (others.empty()) return found;
  KILN_TRY_ASSIGN(auto beside, inner_->lookup(others, std::move(stop)));
  for (size_t i = 0; i < places.size() && i < beside.size(); ++i)
    found[places[i]] = std::move(beside[i]);
  return found;
}

// Two that find none at once read the image twice, which is only a waste.
Result<std::shared_ptr<const ImageTransport::Entries>> ImageTransport::entries(
    const std::stop_token& stop) {
  if (auto known = *entries_.lock()) return known;
  KILN_TRY_ASSIGN(const auto from, oci::Repository::open(access_, image_, stop));
  Entries read;
  if (const Status done = read_image(*from, image_, 0, read, stop);
      !done && !is_harmless(done.error()))
    return tl::unexpected(done.error());
  auto entries = std::make_shared<const Entries>(std::move(read));
  *entries_.lock() = entries;
  return entries;
}

Status ImageTransport::read_image(oci::Repository& from, const oci::Reference& name, int depth,
                                  Entries& into, const std::stop_token& stop) const {
  KILN_TRY_ASSIGN(const oci::Repository::Document document, from.manifest(name, stop));
  if (oci::is_index(document.descriptor.media_type)) {
    if (depth > 0) return {};
    KILN_TRY_ASSIGN(const oci::Index index, oci::parse_index(document.text));
    for (size_t i = 0; i < index.manifests.size() && i < kMaxPlatforms; ++i) {
      oci::Reference entry = name;
      entry.digest = index.manifests[i].digest;
      Status done = read_image(from, entry, depth + 1, into, stop);
      if (!done && !is_harmless(done.error())) return done;
    }
    return {};
  }
  KILN_TRY_ASSIGN(const oci::Manifest manifest, oci::parse_manifest(document.text));
  const std::string& type = manifest.config.media_type;
  if (type != oci::media_type::kConfig && type != oci::media_type::kDockerConfig) return {};
  if (manifest.config.size > oci::kMaxConfigBytes) return {};
  StringSink text;
  KILN_TRY(from.blob(
      manifest.config, text, [](uint64_t) {}, stop));
  if (Digest::of(text.data()) != manifest.config.digest) return {};
  KILN_TRY_ASSIGN(const Json config, Json::parse(text.data()));
  into.merge(inline_entries(config, manifest));
  return {};
}

}  // namespace kiln::cache
