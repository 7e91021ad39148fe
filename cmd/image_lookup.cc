#include "cmd/image_lookup.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln::cmd {
namespace {
constexpr uint64_t kManifestLimit = 4U << 20U;
constexpr uint64_t kConfigLimit = 8U << 20U;
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
  std::vector<std::string> names;
  KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> stored, engine.images().list());
  for (const oci::StoredImage& image : stored)
    if (const Result<oci::Reference> known = oci::Reference::parse(image.name); known)
      names.push_back(known->familiar());
  return tl::unexpected(
      Error(Code::kNotFound, "no such image: " + text + did_you_mean(name->familiar(), names))
          .hint("`kiln images` lists what is here"));
}

Result<ImageFacts> image_facts(Engine& engine, const oci::Descriptor& image) {
  oci::Descriptor manifest_descriptor = image;
  if (oci::is_index(image.media_type)) {
    KILN_TRY_ASSIGN(const std::string text,
                    oci::read_blob(engine.content(), image.digest, kManifestLimit));
    KILN_TRY_ASSIGN(const oci::Index index, oci::parse_index(text));
    const oci::Descriptor* chosen = oci::select_platform(index, Platform::host());
    if (chosen == nullptr && !index.manifests.empty()) chosen = &index.manifests.front();
    if (chosen == nullptr) return fail(Code::kNotFound, "the image index is empty");
    manifest_descriptor = *chosen;
  }
  KILN_TRY_ASSIGN(const std::string text,
                  oci::read_blob(engine.content(), manifest_descriptor.digest, kManifestLimit));
  KILN_TRY_ASSIGN(const oci::Manifest manifest, oci::parse_manifest(text));
  KILN_TRY_ASSIGN(const std::string config,
                  oci::read_blob(engine.content(), manifest.config.digest, kConfigLimit));
  KILN_TRY_ASSIGN(Json config_json, Json::parse(config));
  uint64_t size = manifest.config.size;
  for (const oci::Descriptor& layer : manifest.layers) size += layer.size;
  return ImageFacts{std::move(manifest_descriptor), manifest.config.digest, std::move(config_json),
                    size};
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
