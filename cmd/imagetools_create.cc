// `kiln imagetools create`: an index of images that are in registries, pushed under names of its
// own. What the names' repositories lack is copied there first; the names come last.
#include <cstdio>
#include <set>

#include "base/fs.h"
#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/remote_images.h"
#include "oci/combine.h"
#include "oci/registry_copy.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kSourceLimit = 1U << 20U;  // of a file with a descriptor

// As the user gives it: a reference, a digest, or a descriptor whose platform and annotations
// count.
struct CreateSource {
  std::string text;
  std::optional<oci::Reference> name;
  Json descriptor;  // null: none
};

Result<CreateSource> parse_source(const std::string& given) {
  CreateSource source;
  source.text = std::string(trim(given));
  if (source.text.starts_with('{')) {
    Result<Json> json = Json::parse(source.text);
    if (json) {
      if (const auto known = oci::descriptor_from_json(*json); !known)
        json = tl::unexpected(known.error());
    }
    if (!json) return tl::unexpected(json.error().wrap("source " + quote(source.text)));
    source.descriptor = *std::move(json);
  } else if (const Result<Digest> digest = Digest::parse(source.text)) {
    source.descriptor = Json::object();
    source.descriptor.set("digest", digest->to_string());
  } else {
    Result<oci::Reference> name = oci::Reference::parse(source.text);
    if (!name)
      return tl::unexpected(name.error()
                                .wrap("source " + quote(source.text))
                                .hint("a source is a reference, a digest or a descriptor (JSON)"));
    source.name = *std::move(name);
  }
  return source;
}

// `index:NAME=VALUE` (or NAME=VALUE), `manifest-descriptor[PLATFORM]:NAME=VALUE`.
Status parse_annotation(const std::string& text, oci::CombineRequest& into) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(Code::kInvalidArgument, "--annotation " + quote(text) + " is not NAME=VALUE");
  std::string name = text.substr(0, equals), type = "index";
  oci::EntryAnnotation entry;
  entry.value = text.substr(equals + 1);
  const size_t bracket = name.find("]:"), colon = name.find(':');
  if (const size_t end = bracket != std::string::npos ? bracket + 1 : colon;
      end != std::string::npos) {
    type = name.substr(0, end);
    name = name.substr(end + 1);
  }
  if (const size_t open = type.find('['); open != std::string::npos && type.ends_with(']')) {
    const auto platform = Platform::parse(type.substr(open + 1, type.size() - open - 2));
    if (!platform) return tl::unexpected(platform.error().wrap("--annotation " + quote(text)));
    entry.platform = *platform;
    type.resize(open);
  }
  static const std::vector<std::string> kTypes = {"index", "manifest-descriptor"};
  if (type == "index" && !entry.platform) {
    into.annotations[name] = entry.value;
  } else if (type == "manifest-descriptor") {
    entry.name = name;
    into.entry_annotations.push_back(std::move(entry));
  } else {
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "--annotation " + quote(text) + ": nothing can be written to " + quote(type))
            .hint("index:NAME=VALUE or manifest-descriptor[PLATFORM]:NAME=VALUE" +
                  did_you_mean(type, kTypes)));
  }
  return {};
}

struct CreateOrder {
  std::vector<oci::Reference> tags;
  std::vector<CreateSource> sources;
  oci::CombineRequest request;  // its parts are still to come
};

Result<CreateOrder> parse_order(const ImagetoolsCreateOptions& options) {
  CreateOrder order;
  for (const std::string& text : options.tags) {
    KILN_TRY_ASSIGN(oci::Reference tag, oci::Reference::parse(text));
    if (tag.digest)
      return fail(Code::kInvalidArgument, "--tag " + quote(text) + " is a digest, not a name");
    order.tags.push_back(std::move(tag));
  }
  if (options.tags.empty() && (!options.dry_run || options.append))
    return tl::unexpected(Error(Code::kInvalidArgument, "the index needs a name")
                              .hint("give --tag NAME, or --dry-run to see it"));
  std::vector<std::string> sources;
  if (options.append) sources.push_back(options.tags.front());
  for (const std::string& file : options.files) {
    KILN_TRY_ASSIGN(std::string text, read_file(file, kSourceLimit));
    sources.push_back(std::move(text));
  }
  sources.insert(sources.end(), options.sources.begin(), options.sources.end());
  if (sources.empty())
    return tl::unexpected(Error(Code::kInvalidArgument, "there are no sources")
                              .hint("name images in registries, or files with --file"));
  for (const std::string& text : sources) {
    KILN_TRY_ASSIGN(CreateSource source, parse_source(text));
    order.sources.push_back(std::move(source));
  }
  for (const std::string& text : options.annotations)
    KILN_TRY(parse_annotation(text, order.request));
  for (const std::string& list : options.platforms) {
    for (const std::string& text : split(list, ',')) {
      const auto platform = Platform::parse(text);
      if (!platform) return tl::unexpected(platform.error().wrap("--platform " + quote(text)));
      order.request.platforms.push_back(*platform);
    }
  }
  order.request.single = options.prefer_index ? oci::CombineRequest::Single::kIndex
                                              : oci::CombineRequest::Single::kCopy;
  return order;
}

// A digest alone is one of the only repository that is named.
Status name_sources(CreateOrder& order) {
  std::map<std::string, oci::Reference> named;
  for (const oci::Reference& tag : order.tags) named.emplace(tag.name(), tag);
  for (const CreateSource& source : order.sources)
    if (source.name) named.emplace(source.name->name(), *source.name);
  for (CreateSource& source : order.sources) {
    if (source.name) continue;
    if (named.size() != 1)
      return tl::unexpected(Error(Code::kInvalidArgument,
                                  (named.empty() ? "no repository is" : "several are") +
                                      std::string(" named: whose is ") + quote(source.text) + "?")
                                .hint("write NAME@DIGEST"));
    source.name = named.begin()->second;
    source.name->tag.clear();
    KILN_TRY_ASSIGN(source.name->digest, Digest::parse(source.descriptor["digest"].as_string()));
  }
  return {};
}

class Creation {
 public:
  Creation(CreateOrder order, RemoteImages& images) : order_(std::move(order)), images_(images) {}

  Result<oci::CombinedImage> combine() {
    for (const CreateSource& source : order_.sources) {
      KILN_TRY_ASSIGN(oci::CombinePart part, part_of(source));
      order_.request.parts.push_back(std::move(part));
    }
    return oci::combine(order_.request);
  }

  Status push(const oci::CombinedImage& image) {
    std::set<std::string> filled;
    for (const oci::Reference& tag : order_.tags)
      if (filled.insert(tag.name()).second) KILN_TRY(fill(tag, image));
    for (const oci::Reference& tag : order_.tags) {
      say("pushing " + Digest::of(image.text).to_string() + " to " + tag.to_string());
      KILN_TRY_ASSIGN(oci::Repository* const to,
                      images_.repository(tag, oci::RegistryRights::kPush));
      const Status put = to->put_manifest(image.media_type, image.text, tag.tag, images_.stop());
      if (!put) return tl::unexpected(put.error().wrap("push " + quote(tag.to_string())));
    }
    return {};
  }

 private:
  static void say(const std::string& text) {
    (void)std::fprintf(stderr, "%s\n", text.c_str());  // nothing to do if it is gone
  }

  Result<oci::CombinePart> part_of(const CreateSource& source) {
    KILN_TRY_ASSIGN(const oci::Repository::Document document, images_.manifest(*source.name));
    Json descriptor = to_json(document.descriptor);
    for (const auto& [key, value] : source.descriptor.members()) {
      if (key == "size" && value.as_uint() != document.descriptor.size)
        return fail(Code::kInvalidArgument,
                    "source " + quote(source.text) + ": the registry's has " +
                        std::to_string(document.descriptor.size) + " bytes");
      if (key != "mediaType") descriptor.set(key, value);
    }
    if (descriptor.find("platform") == nullptr &&
        oci::is_manifest(document.descriptor.media_type)) {
      KILN_TRY_ASSIGN(const auto config, images_.config(*source.name, document.text));
      if (config) descriptor.set("platform", platform_of(*config));
    }
    return oci::CombinePart{std::move(descriptor), document.text};
  }

  // The fields of image-spec image-index.md, "platform", that a config has as well.
  static Json platform_of(const Json& config) {
    Json platform = Json::object();
    for (const char* key : {"architecture", "os", "os.version", "os.features", "variant"}) {
      const Json* value = config.find(key);
      if (value != nullptr && (!value->is_string() || !value->as_string().empty()))
        platform.set(key, *value);
    }
    return platform;
  }

  // Brings what the image names to the tag's repository.
  Status fill(const oci::Reference& tag, const oci::CombinedImage& image) {
    KILN_TRY_ASSIGN(oci::Repository* const to, images_.repository(tag, oci::RegistryRights::kPush));
    for (const auto& [digest, part] : image.entries) {
      const oci::Reference& from_name = *order_.sources.at(part).name;
      if (from_name.name() == tag.name()) continue;
      say("copying " + digest.to_string() + " from " + from_name.name() + " to " + tag.name());
      KILN_TRY_ASSIGN(oci::Repository* const from, images_.repository(from_name));
      KILN_TRY(oci::copy_manifest({*from, from_name, *to, tag}, digest, {}, images_.stop()));
    }
    return {};
  }

  CreateOrder order_;
  RemoteImages& images_;
};

Json metadata_of(const oci::CombinedImage& image, const std::vector<std::string>& tags) {
  Json metadata = Json::object();
  metadata.set("containerimage.descriptor",
               to_json(oci::Descriptor{
                   image.media_type, Digest::of(image.text), image.text.size(), std::nullopt, {}}));
  metadata.set("containerimage.digest", Digest::of(image.text).to_string());
  if (!tags.empty()) metadata.set("image.name", join(tags, ","));
  return metadata;
}

}  // namespace

CommandResult run_imagetools_create(const ImagetoolsCreateOptions& options,
                                    const Invocation& invocation) {
  Result<CreateOrder> order = parse_order(options);
  if (!order) return usage_failure(order.error());
  if (const Status named = name_sources(*order); !named) return usage_failure(named.error());
  RemoteImages images(invocation.environment, invocation.stop);
  Creation creation(*std::move(order), images);
  KILN_CMD_TRY_ASSIGN(const oci::CombinedImage image, creation.combine());
  if (options.dry_run) {
    (void)std::printf("%s\n", image.text.c_str());  // main sees whether it arrived
  } else {
    KILN_CMD_TRY(creation.push(image));
  }
  if (!options.metadata_file.empty())
    KILN_CMD_TRY(
        write_file(options.metadata_file, metadata_of(image, options.tags).dump_pretty() + "\n"));
  return {};
}

}  // namespace kiln::cmd
