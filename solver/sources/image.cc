#include "solver/sources/image.h"

#include "base/strings.h"
#include "oci/layout.h"

namespace kiln {
namespace {

constexpr std::string_view kDockerImage = "docker-image://";
constexpr std::string_view kOciLayout = "oci-layout://";
constexpr uint64_t kMaxManifestBytes = 4U << 20U;
constexpr uint64_t kMaxConfigBytes = 8U << 20U;

std::string attr(const std::map<std::string, std::string>& attrs, const std::string& name) {
  const auto found = attrs.find(name);
  return found == attrs.end() ? std::string() : found->second;
}

/// A blob that is known by its digest alone: what it is stands in the document.
Result<oci::Descriptor> describe_blob(oci::ContentStore& content, const Digest& digest,
                                      uint64_t size) {
  KILN_TRY_ASSIGN(const std::string text, oci::read_blob(content, digest, kMaxManifestBytes));
  KILN_TRY_ASSIGN(const Json json, Json::parse(text));
  std::string type = json["mediaType"].as_string();
  if (type.empty())
    type = json["manifests"].is_array() ? oci::media_type::kIndex : oci::media_type::kManifest;
  return oci::Descriptor{std::move(type), digest, size, std::nullopt, {}};
}

class ImageResolver {
 public:
  ImageResolver(const ImageSources& sources, const Platform& platform, ImageExtent extent,
                JobContext& job)
      : sources_(sources), platform_(platform), extent_(extent), job_(job) {}

  Result<ResolvedImage> from_registry(const oci::Reference& name, ResolveMode mode,
                                      const std::string& checksum) {
    KILN_TRY_ASSIGN(const auto local, find_local(name, mode));
    if (local) {
      auto image = assemble(*local, checksum);
      // A base of another platform, or one that lost blobs, may be whole in the registry.
      const bool incomplete = !image && image.error().code() == Code::kNotFound;
      if (!incomplete || mode == ResolveMode::kPreferLocal || !sources_.pull) return image;
      return from_remote(name, checksum, image.error());
    }
    if (mode == ResolveMode::kPreferLocal || !sources_.pull) return not_local(name);
    return from_remote(name, checksum, std::nullopt);
  }

  /// `text`: DIR-or-TAR[:tag|@digest].
  Result<ResolvedImage> from_layout(const std::string& text, const std::optional<Digest>& pinned,
                                    const std::string& checksum) {
    if (pinned) {
      KILN_TRY_ASSIGN(const auto present, find_blob(*pinned));
      if (present) return assemble(*present, checksum);
    }
    KILN_TRY_ASSIGN(const LayoutName name, split_layout(text));
    const std::string wanted = pinned ? pinned->to_string() : name.tag_or_digest;
    KILN_TRY_ASSIGN(
        const oci::NamedImage image,
        oci::import_from_layout(*sources_.content, *sources_.lease, name.path, wanted, job_.stop));
    return assemble(image.descriptor, checksum);
  }

 private:
  struct LayoutName {
    std::string path, tag_or_digest;
  };

  // `local`: why the image of that name in the store does not do.
  Result<ResolvedImage> from_remote(const oci::Reference& name, const std::string& checksum,
                                    const std::optional<Error>& local) {
    const auto pulled = sources_.pull(name, platform_, extent_, job_);
    if (pulled) return assemble(*pulled, checksum);
    if (!local) return tl::unexpected(pulled.error());
    return tl::unexpected(Error(pulled.error())
                              .hint("the image of that name in the local store does not do: " +
                                    local->message() + "; `kiln load` or `kiln import` it again"));
  }

  static Result<LayoutName> split_layout(const std::string& text) {
    KILN_TRY_ASSIGN(const bool whole, exists(text));
    if (whole) return LayoutName{text, ""};
    if (const size_t at = text.rfind('@'); at != std::string::npos)
      return LayoutName{text.substr(0, at), text.substr(at + 1)};
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos || text.find('/', colon) != std::string::npos)
      return LayoutName{text, ""};
    return LayoutName{text.substr(0, colon), text.substr(colon + 1)};
  }

  tl::unexpected<Error> not_local(const oci::Reference& name) const {
    Error error(Code::kNotFound, name.to_string() + ": not found in the local image store");
    return tl::unexpected(error.hint(
        "load one with `kiln load` or `kiln import`, or name a directory or archive with "
        "--build-context " +
        name.familiar() + "=oci-layout://…"));
  }

  Result<std::optional<oci::Descriptor>> find_blob(const Digest& digest) {
    KILN_TRY_ASSIGN(const auto size, sources_.content->size(digest));
    if (!size) return std::nullopt;
    KILN_TRY_ASSIGN(auto found, describe_blob(*sources_.content, digest, *size));
    return found;
  }

  Result<std::optional<oci::Descriptor>> find_local(const oci::Reference& name, ResolveMode mode) {
    // A digest means the same everywhere: no reason to ask the registry what it names.
    if (name.digest) {
      KILN_TRY_ASSIGN(auto found, find_blob(*name.digest));
      if (found) return found;
    }
    if (mode == ResolveMode::kForcePull || sources_.images == nullptr) return std::nullopt;
    KILN_TRY_ASSIGN(const auto stored, sources_.images->find(name));
    if (!stored) return std::nullopt;
    return stored->descriptor;
  }

  Result<std::string> document(const Digest& digest, uint64_t limit, std::string_view what) {
    KILN_TRY_ASSIGN(const bool present, sources_.content->touch(digest, *sources_.lease));
    if (!present)
      return fail(Code::kNotFound, "the image's " + std::string(what) + " " + digest.to_string() +
                                       " is not in the content store");
    return oci::read_blob(*sources_.content, digest, limit);
  }

  Result<oci::Descriptor> platform_manifest(const oci::Descriptor& root) {
    if (!oci::is_index(root.media_type)) return root;
    KILN_TRY_ASSIGN(const std::string text, document(root.digest, kMaxManifestBytes, "index"));
    KILN_TRY_ASSIGN(const oci::Index index, oci::parse_index(text));
    if (const auto* found = oci::select_platform(index, platform_)) return *found;
    std::vector<std::string> offered;
    for (const oci::Descriptor& manifest : index.manifests)
      if (manifest.platform && manifest.platform->os != "unknown")
        offered.push_back(manifest.platform->to_string());
    return tl::unexpected(
        Error(Code::kNotFound,
              "no match for platform in manifest: " + platform_.to_string() + " not found")
            .hint(offered.empty() ? "the index names no platforms"
                                  : "the image is there for " + join(offered, ", ")));
  }

  Result<ResolvedImage> assemble(const oci::Descriptor& root, const std::string& checksum) {
    if (!checksum.empty() && checksum != root.digest.to_string())
      return fail(Code::kDataLoss, "the image is " + root.digest.to_string() + ", not " + checksum);
    KILN_TRY_ASSIGN(const oci::Descriptor chosen, platform_manifest(root));
    ResolvedImage image{root, chosen, {}, {}, {}, true};
    KILN_TRY_ASSIGN(const std::string text,
                    document(image.manifest.digest, kMaxManifestBytes, "manifest"));
    KILN_TRY_ASSIGN(const oci::Manifest manifest, oci::parse_manifest(text));
    KILN_TRY_ASSIGN(image.config_json, document(manifest.config.digest, kMaxConfigBytes, "config"));
    KILN_TRY_ASSIGN(const Json config, Json::parse(image.config_json));
    KILN_TRY_ASSIGN(const oci::ConfigFacts facts, oci::config_facts(config));
    image.platform = facts.platform;
    image.platform_matches =
        facts.platform.os == platform_.os && facts.platform.architecture == platform_.architecture;
    KILN_TRY(add_layers(manifest, facts, image));
    return image;
  }

  Status add_layers(const oci::Manifest& manifest, const oci::ConfigFacts& facts,
                    ResolvedImage& image) {
    if (manifest.layers.size() != facts.diff_ids.size())
      return fail(Code::kDataLoss, "the image has " + std::to_string(manifest.layers.size()) +
                                       " layers, its config tells of " +
                                       std::to_string(facts.diff_ids.size()));
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
      const oci::Descriptor& layer = manifest.layers[i];
      if (!oci::is_layer(layer.media_type))
        return fail(Code::kInvalidArgument,
                    "a layer has the unknown type " + quote(layer.media_type));
      KILN_TRY_ASSIGN(const bool present, sources_.content->touch(layer.digest, *sources_.lease));
      if (!present && extent_ == ImageExtent::kWhole)
        return fail(Code::kNotFound, "the image's layer " + layer.digest.to_string() +
                                         " is not in the content store");
      image.layers.push_back({layer, facts.diff_ids[i]});
    }
    return {};
  }

  const ImageSources& sources_;
  const Platform& platform_;
  const ImageExtent extent_;
  JobContext& job_;
};

Result<ResolvedImage> resolve_layout(ImageResolver& resolver, const ImageSources& sources,
                                     std::string_view name,
                                     const std::map<std::string, std::string>& attrs) {
  const std::string checksum = attr(attrs, "image.checksum");
  const std::string store = attr(attrs, "oci.store");
  if (store.empty()) return resolver.from_layout(std::string(name), std::nullopt, checksum);
  const auto layout = sources.layouts.find(store);
  if (layout == sources.layouts.end())
    return tl::unexpected(
        Error(Code::kNotFound, "no OCI layout is known as " + quote(store))
            .hint("give it with --build-context " + store + "=oci-layout://DIR-or-TAR"));
  std::optional<Digest> pinned;
  if (const size_t at = name.rfind('@'); at != std::string_view::npos) {
    KILN_TRY_ASSIGN(pinned, Digest::parse(name.substr(at + 1)));
  }
  return resolver.from_layout(layout->second, pinned, checksum);
}

}  // namespace

Result<ResolveMode> parse_resolve_mode(std::string_view text) {
  if (text.empty() || text == "default") return ResolveMode::kDefault;
  if (text == "pull") return ResolveMode::kForcePull;
  if (text == "local") return ResolveMode::kPreferLocal;
  return fail(Code::kInvalidArgument, "unknown image resolve mode " + quote(text));
}

Result<ResolvedImage> resolve_image(const ImageSources& sources, std::string_view identifier,
                                    const std::map<std::string, std::string>& attrs,
                                    const Platform& platform, ImageExtent extent, JobContext& job) {
  ImageResolver resolver(sources, platform, extent, job);
  if (identifier.starts_with(kOciLayout)) {
    auto image = resolve_layout(resolver, sources, identifier.substr(kOciLayout.size()), attrs);
    if (!image) return tl::unexpected(image.error().wrap("load " + quote(identifier)));
    return image;
  }
  if (!identifier.starts_with(kDockerImage))
    return fail(Code::kUnimplemented, quote(identifier) + " is no image source");
  KILN_TRY_ASSIGN(const oci::Reference name,
                  oci::Reference::parse(identifier.substr(kDockerImage.size())));
  KILN_TRY_ASSIGN(const ResolveMode mode, parse_resolve_mode(attr(attrs, "image.resolvemode")));
  return resolver.from_registry(name, mode, attr(attrs, "image.checksum"));
}

Digest chain_id(const std::vector<oci::LayerBlob>& layers) {
  KILN_CHECK(!layers.empty());
  Digest chain = layers.front().diff_id;
  for (size_t i = 1; i < layers.size(); ++i)
    chain = Digest::of(chain.to_string() + " " + layers[i].diff_id.to_string());
  return chain;
}

}  // namespace kiln
