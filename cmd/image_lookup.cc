#include "cmd/image_lookup.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace kiln::cmd {
namespace {
constexpr uint64_t kManifestLimit = 4U << 20U;
constexpr uint64_t kConfigLimit = 8U << 20U;

Result<ImageFacts> manifest_facts(Engine& engine, const oci::Descriptor& descriptor) {
  KILN_TRY_ASSIGN(const std::string text,
                  oci::read_blob(engine.content(), descriptor.digest, kManifestLimit));
  KILN_TRY_ASSIGN(const oci::Manifest manifest, oci::parse_manifest(text));
  KILN_TRY_ASSIGN(const std::string config,
                  oci::read_blob(engine.content(), manifest.config.digest, kConfigLimit));
  KILN_TRY_ASSIGN(Json config_json, Json::parse(config));
  uint64_t size = manifest.config.size;
  for (const oci::Descriptor& layer : manifest.layers) size += layer.size;
  return ImageFacts{descriptor, manifest.config.digest, std::move(config_json), size};
}

// Layers that several platforms have are there once.
Result<uint64_t> stored_bytes(Engine& engine, const std::vector<oci::Descriptor>& manifests) {
  std::set<Digest> seen;
  uint64_t bytes = 0;
  for (const oci::Descriptor& descriptor : manifests) {
    KILN_TRY_ASSIGN(const std::string text,
                    oci::read_blob(engine.content(), descriptor.digest, kManifestLimit));
    KILN_TRY_ASSIGN(const oci::Manifest manifest, oci::parse_manifest(text));
    std::vector<oci::Descriptor> blobs = manifest.layers;
    blobs.push_back(manifest.config);
    for (const oci::Descriptor& blob : blobs)
      if (seen.insert(blob.digest).second) bytes += blob.size;
  }
  return bytes;
}

}  // namespace

Result<oci::StoredImage> find_image(Engine& engine, const std::string& text) {
  const Result<oci::Reference> name = oci::Reference::parse(text);
  if (name) {
    KILN_TRY_ASSIGN(std::optional<oci::StoredImage> found, engine.images().find(*name));
    if (found) return *std::move(found);
  }
  KILN_TRY_ASSIGN(std::optional<oci::StoredImage> by_id,
                  engine.images().find_by_id(engine.content(), text));
  if (by_id) return *std::move(by_id);
  if (!name) return tl::unexpected(name.error());
  KILN_TRY_ASSIGN(const std::string meant, did_you_mean_image(engine, *name));
  return tl::unexpected(Error(Code::kNotFound, "no such image: " + text + meant)
                            .hint("`kiln images` lists what is here"));
}

Result<oci::StoredImage> find_image_for(Engine& engine, const std::string& text,
                                        const std::string& platform) {
  KILN_TRY_ASSIGN(oci::StoredImage image, find_image(engine, text));
  if (platform.empty()) return image;
  const Result<Platform> wanted = Platform::parse(platform);
  if (!wanted) return tl::unexpected(wanted.error().wrap("--platform " + quote(platform)));
  auto manifest = manifest_for(engine, image.descriptor, *wanted);
  if (!manifest) return tl::unexpected(manifest.error().wrap(quote(text)));
  image.descriptor = *std::move(manifest);
  return image;
}

Result<std::string> did_you_mean_image(Engine& engine, const oci::Reference& name) {
  std::vector<std::string> names;
  KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> stored, engine.images().list());
  for (const oci::StoredImage& image : stored)
    if (const Result<oci::Reference> known = oci::Reference::parse(image.name); known)
      names.push_back(known->familiar());
  return did_you_mean(name.familiar(), names);
}

Error joined(const std::vector<Error>& errors) {
  KILN_CHECK(!errors.empty());
  return errors.front().also({errors.begin() + 1, errors.end()});
}

Result<ImageFacts> image_facts(Engine& engine, const oci::Descriptor& image) {
  if (!oci::is_index(image.media_type)) return manifest_facts(engine, image);
  KILN_TRY_ASSIGN(const std::vector<oci::Descriptor> present,
                  oci::present_manifests(engine.content(), image));
  if (present.empty())
    return fail(Code::kNotFound, "the image index " + image.digest.to_string() +
                                     " has no manifest in the content store");
  oci::Index index;
  index.manifests = present;
  const oci::Descriptor* chosen = oci::select_platform(index, Platform::host());
  KILN_TRY_ASSIGN(ImageFacts facts,
                  manifest_facts(engine, chosen != nullptr ? *chosen : present.front()));
  if (present.size() == 1) return facts;
  facts.id = image.digest;
  KILN_TRY_ASSIGN(facts.size_bytes, stored_bytes(engine, present));
  return facts;
}

Result<oci::Descriptor> manifest_for(Engine& engine, const oci::Descriptor& image,
                                     const Platform& platform) {
  oci::Index index;
  index.manifests = {image};
  if (oci::is_index(image.media_type)) {
    KILN_TRY_ASSIGN(index.manifests, oci::present_manifests(engine.content(), image));
  } else {
    KILN_TRY_ASSIGN(const ImageFacts facts, manifest_facts(engine, image));
    KILN_TRY_ASSIGN(const oci::ConfigFacts config, oci::config_facts(facts.config_json));
    index.manifests.front().platform = config.platform;
  }
  if (const oci::Descriptor* found = oci::select_platform(index, platform)) return *found;
  std::vector<std::string> here;
  for (const oci::Descriptor& manifest : index.manifests)
    if (manifest.platform) here.push_back(manifest.platform->to_string());
  const Error error(Code::kNotFound, "the image is not here for " + platform.to_string());
  return tl::unexpected(here.empty() ? error : error.hint("it is for " + join(here, ", ")));
}

std::string ago(std::chrono::nanoseconds age) {
  struct Unit {
    int64_t seconds;
    const char* one;
    const char* many;
  };
  static constexpr Unit kUnits[] = {{31536000, "a year", "years"}, {2592000, "a month", "months"},
                                    {604800, "a week", "weeks"},   {86400, "a day", "days"},
                                    {3600, "an hour", "hours"},    {60, "a minute", "minutes"}};
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  for (const Unit& unit : kUnits) {
    const int64_t count = seconds / unit.seconds;
    if (count > 1) return std::to_string(count) + " " + unit.many + " ago";
    if (count == 1) return "About " + std::string(unit.one) + " ago";
  }
  return seconds <= 1 ? "Less than a second ago" : std::to_string(seconds) + " seconds ago";
}

}  // namespace kiln::cmd
