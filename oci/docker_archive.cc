#include "oci/docker_archive.h"

#include <array>

#include "oci/compression.h"
#include "oci/image.h"

namespace kiln::oci {
namespace {

Result<Digest> blob_at(const ArchiveFiles& files, std::string path) {
  for (int hops = 0; hops < 8; ++hops) {
    if (const auto blob = files.blobs.find(path); blob != files.blobs.end()) return blob->second;
    const auto link = files.links.find(path);
    if (link == files.links.end()) break;
    path = link->second;
  }
  return fail(Code::kDataLoss,
              "the archive's manifest.json names \"" + path + "\", which is not there");
}

Result<Detected> compression_of(ContentStore& content, const Digest& blob) {
  KILN_TRY_ASSIGN(const std::unique_ptr<Source> source, content.open(blob));
  std::array<std::byte, 6> head{};
  size_t filled = 0;
  while (filled < head.size()) {
    KILN_TRY_ASSIGN(const size_t got, source->read(std::span(head).subspan(filled)));
    if (got == 0) break;
    filled += got;
  }
  return detect_compression(std::span(head).first(filled));
}

Result<std::string_view> media_type_of(Detected compression) {
  switch (compression) {
    case Detected::kNone:
      return media_type::kLayerTar;
    case Detected::kGzip:
      return media_type::kLayerGzip;
    case Detected::kZstd:
      return media_type::kLayerZstd;
    default:
      return fail(Code::kUnimplemented,
                  "a layer of the archive is compressed with bzip2 or xz, which images cannot be");
  }
}

Result<Descriptor> layer_at(ContentStore& content, const ArchiveFiles& files,
                            const std::string& path) {
  KILN_TRY_ASSIGN(const Digest blob, blob_at(files, path));
  KILN_TRY_ASSIGN(const std::optional<uint64_t> size, content.size(blob));
  KILN_TRY_ASSIGN(const Detected compression, compression_of(content, blob));
  KILN_TRY_ASSIGN(const std::string_view type, media_type_of(compression));
  return Descriptor{std::string(type), blob, size.value_or(0), std::nullopt, {}};
}

Result<Descriptor> make_manifest(ContentStore& content, const Lease& lease, const Json& entry,
                                 const Digest& config, const ArchiveFiles& files) {
  KILN_TRY_ASSIGN(const std::string config_text, read_blob(content, config, kMaxConfigBytes));
  KILN_TRY_ASSIGN(const Json config_json, Json::parse(config_text));
  KILN_TRY_ASSIGN(const ConfigFacts facts, config_facts(config_json));
  Manifest manifest{
      std::string(media_type::kManifest),
      Descriptor{std::string(media_type::kConfig), config, config_text.size(), std::nullopt, {}},
      {},
      {}};
  const Json::Array& layers = entry["Layers"].elements();
  if (layers.size() != facts.diff_ids.size())
    return fail(Code::kDataLoss, "the archive lists " + std::to_string(layers.size()) +
                                     " layers, the image config " +
                                     std::to_string(facts.diff_ids.size()));
  for (size_t i = 0; i < layers.size(); ++i) {
    KILN_TRY_ASSIGN(Descriptor layer, layer_at(content, files, layers[i].as_string()));
    // A compressed layer is checked against its diff ID when it is unpacked.
    if (layer.media_type == media_type::kLayerTar && layer.digest != facts.diff_ids[i])
      return fail(Code::kDataLoss,
                  "layer " + layers[i].as_string() + " is not the one that the image config names");
    manifest.layers.push_back(std::move(layer));
  }
  const std::string text = to_json_text(manifest);
  KILN_TRY_ASSIGN(const Digest digest, write_blob(content, lease, text));
  return Descriptor{manifest.media_type, digest, text.size(), facts.platform, {}};
}

Result<NamedImage*> image_with_config(ContentStore& content, std::vector<NamedImage>& images,
                                      const Digest& config) {
  for (NamedImage& image : images) {
    if (!is_manifest(image.descriptor.media_type)) continue;
    KILN_TRY_ASSIGN(const std::string text,
                    read_blob(content, image.descriptor.digest, kMaxDocumentBytes));
    KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(text));
    if (manifest.config.digest == config) return &image;
  }
  return nullptr;
}

void add_names(NamedImage& image, const Json& tags) {
  for (const std::string& tag : tags.strings()) {
    const Result<Reference> name = Reference::parse(tag);
    if (!name) continue;
    const std::string text = name->to_string();
    bool known = false;
    for (const std::string& other : image.names) known = known || other == text;
    if (!known) image.names.push_back(text);
  }
}

}  // namespace

Status merge_docker(ContentStore& content, const Lease& lease, std::string_view manifest_json,
                    const ArchiveFiles& files, std::vector<NamedImage>& images,
                    const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const Json list, Json::parse(manifest_json, Json::Limits{kMaxDocumentBytes, 32}));
  for (const Json& entry : list.elements()) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "reading the archive was stopped");
    KILN_TRY_ASSIGN(const Digest config, blob_at(files, entry["Config"].as_string()));
    KILN_TRY_ASSIGN(NamedImage * known, image_with_config(content, images, config));
    if (known == nullptr) {
      KILN_TRY_ASSIGN(Descriptor made, make_manifest(content, lease, entry, config, files));
      known = &images.emplace_back(NamedImage{{}, std::move(made)});
    }
    add_names(*known, entry["RepoTags"]);
  }
  return {};
}

}  // namespace kiln::oci
