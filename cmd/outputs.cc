#include "cmd/outputs.h"

#include <functional>
#include <map>

#include "base/strings.h"
#include "cmd/build_inputs.h"
#include "frontend/source_date_epoch.h"

namespace kiln::cmd {
namespace {

struct OutputSpec {
  std::string type;
  std::map<std::string, std::string> attrs;
};

const std::vector<std::string>& known_types() {
  static const std::vector<std::string> kTypes = {"image", "oci",       "docker",  "local",
                                                  "tar",   "cacheonly", "registry"};
  return kTypes;
}

Result<OutputSpec> parse_output(const std::string& text) {
  OutputSpec spec;
  KILN_TRY_ASSIGN(const std::vector<std::string> fields, parse_csv(text));
  if (fields.size() == 1 && fields[0].find('=') == std::string::npos) {
    spec.type = fields[0] == "-" ? "tar" : "local";
    spec.attrs["dest"] = fields[0];
    return spec;
  }
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos)
      return fail(Code::kInvalidArgument,
                  "output " + quote(text) + ": " + quote(field) + " is not KEY=VALUE");
    const std::string key = to_lower(trim(std::string_view(field).substr(0, equals)));
    std::string value = field.substr(equals + 1);
    if (key == "type")
      spec.type = value;
    else if (!spec.attrs.emplace(key, std::move(value)).second)
      return fail(Code::kInvalidArgument,
                  "output " + quote(text) + ": " + quote(key) + " is given twice");
  }
  if (spec.type.empty())
    return tl::unexpected(Error(Code::kInvalidArgument, "output " + quote(text) + " has no type")
                              .hint("type is one of " + join(known_types(), ", ")));
  return spec;
}

Result<bool> parse_bool(std::string_view key, const std::string& value) {
  const std::string lower = to_lower(value);
  if (lower.empty() || lower == "true" || lower == "1" || lower == "t") return true;
  if (lower == "false" || lower == "0" || lower == "f") return false;
  return fail(Code::kInvalidArgument,
              std::string(key) + "=" + quote(value) + ": expected true or false");
}

// Takes what it knows out of `attrs`; what is left afterwards is unknown.
class Attributes {
 public:
  explicit Attributes(OutputSpec& spec) : spec_(spec) {}
  std::optional<std::string> take(const std::string& key) {
    asked_.push_back(key);
    const auto it = spec_.attrs.find(key);
    if (it == spec_.attrs.end()) return std::nullopt;
    std::string value = std::move(it->second);
    spec_.attrs.erase(it);
    return value;
  }
  Result<bool> take_bool(const std::string& key, const char* otherwise) {
    return parse_bool(key, take(key).value_or(otherwise));
  }
  Status refuse_rest() const {
    static const std::vector<std::string> kLater = {"push",
                                                    "push-by-digest",
                                                    "name-canonical",
                                                    "registry.insecure",
                                                    "unpack",
                                                    "store",
                                                    "force-compression",
                                                    "oci-artifact",
                                                    "prefer-nondist-layers",
                                                    "attestation-inline",
                                                    "compatibility-version",
                                                    "mode",
                                                    "context",
                                                    "dangling-name-prefix"};
    for (const auto& [key, value] : spec_.attrs) {
      for (const std::string& later : kLater)
        if (key == later)
          return fail(Code::kUnimplemented, "output type=" + spec_.type + ": option " + quote(key) +
                                                " is not supported yet");
      return fail(Code::kInvalidArgument, "output type=" + spec_.type + ": unknown option " +
                                              quote(key) + did_you_mean(key, asked_));
    }
    return {};
  }

 private:
  OutputSpec& spec_;
  std::vector<std::string> asked_;
};

Result<std::vector<oci::Reference>> parse_names(const std::vector<std::string>& texts) {
  std::vector<oci::Reference> names;
  for (const std::string& text : texts) {
    Result<oci::Reference> name = oci::Reference::parse(text);
    if (!name) return tl::unexpected(name.error().wrap("tag " + quote(text)));
    if (name->digest)
      return fail(Code::kInvalidArgument,
                  "tag " + quote(text) + ": a name for a result cannot have a digest");
    names.push_back(*std::move(name));
  }
  return names;
}

Result<std::optional<int64_t>> take_epoch(Attributes& attributes) {
  const std::optional<std::string> text = attributes.take("source-date-epoch");
  if (!text || text->empty()) return std::optional<int64_t>();
  KILN_TRY_ASSIGN(const int64_t seconds, frontend::parse_source_date_epoch(*text));
  return std::optional<int64_t>(seconds);
}

Result<ImageExportOptions> image_options(Attributes& attributes, const BuildOptions& options) {
  ImageExportOptions image;
  std::vector<std::string> names = options.tags;
  if (const auto name = attributes.take("name"); name && !name->empty()) names = split(*name, ',');
  KILN_TRY_ASSIGN(image.names, parse_names(names));
  if (const auto compression = attributes.take("compression")) {
    KILN_TRY_ASSIGN(image.compression.type, oci::parse_compression(*compression));
  }
  if (const auto level = attributes.take("compression-level")) {
    const int64_t highest = image.compression.type == oci::Compression::kZstd ? 22 : 9;
    const Result<int64_t> value = parse_int(*level);
    if (!value || *value < 0 || *value > highest)
      return fail(Code::kInvalidArgument, "compression-level=" + quote(*level) +
                                              ": expected 0 to " + std::to_string(highest));
    image.compression.level = static_cast<int>(*value);
  }
  KILN_TRY_ASSIGN(const bool oci_types, attributes.take_bool("oci-mediatypes", "true"));
  image.docker_media_types = !oci_types;
  KILN_TRY_ASSIGN(image.rewrite_timestamp, attributes.take_bool("rewrite-timestamp", "false"));
  KILN_TRY_ASSIGN(image.source_date_epoch, take_epoch(attributes));
  for (const std::string& annotation : options.annotations) {
    const size_t equals = annotation.find('=');
    if (equals == std::string::npos)
      return fail(Code::kInvalidArgument, "annotation " + quote(annotation) + " is not KEY=VALUE");
    image.annotations[annotation.substr(0, equals)] = annotation.substr(equals + 1);
  }
  return image;
}

Result<std::string> need_dest(Attributes& attributes, const std::string& type) {
  std::optional<std::string> dest = attributes.take("dest");
  if (!dest || dest->empty())
    return tl::unexpected(Error(Code::kInvalidArgument, "output type=" + type + " needs dest=")
                              .hint("dest=FILE, or dest=- for standard output"));
  return *std::move(dest);
}

struct Planner {
  OutputPlan plan;
  std::vector<std::string> destinations;
  bool all_layers = true, compression_set = false;

  Status claim(const std::string& dest) {
    for (const std::string& other : destinations)
      if (other == dest) return fail(Code::kInvalidArgument, "two outputs go to " + quote(dest));
    destinations.push_back(dest);
    if (dest == "-") plan.writes_to_stdout = true;
    return {};
  }
  void uses_layers(const oci::CompressionOptions& compression) {
    if (!compression_set) plan.compression = compression;
    compression_set = true;
    plan.makes_image = true;
  }
};

Status add_archive(Planner& planner, OutputSpec& spec, const BuildOptions& options) {
  Attributes attributes(spec);
  ArchiveExportOptions archive;
  archive.format = spec.type == "oci" ? ArchiveFormat::kOci : ArchiveFormat::kDocker;
  KILN_TRY_ASSIGN(archive.image, image_options(attributes, options));
  KILN_TRY_ASSIGN(archive.destination, need_dest(attributes, spec.type));
  KILN_TRY_ASSIGN(const bool tar, attributes.take_bool("tar", "true"));
  archive.as_directory = !tar;
  if (archive.as_directory && archive.format == ArchiveFormat::kDocker)
    return fail(Code::kUnimplemented,
                "output type=docker,tar=false is not supported: use type=oci,tar=false");
  KILN_TRY(attributes.refuse_rest());
  KILN_TRY_ASSIGN(const bool index, builds_index(options));
  if (index && archive.format == ArchiveFormat::kDocker)
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "docker exporter does not currently support exporting manifest lists")
            .hint("use type=oci, or write one archive for each platform"));
  KILN_TRY(planner.claim(archive.destination));
  planner.uses_layers(archive.image.compression);
  planner.plan.sends_image = true;
  planner.plan.rewrites_times = planner.plan.rewrites_times || archive.image.rewrite_timestamp;
  planner.plan.exporters.push_back(make_archive_exporter(std::move(archive)));
  return {};
}

Status check_push(const ImageDestinations& to, const std::vector<std::string>& names) {
  const bool pushes = to.push == ImageDestinations::Push::kYes;
  if (to.by == PushBy::kDigest && !pushes)
    return fail(Code::kInvalidArgument, "push-by-digest=true needs push=true");
  if (to.keep == ImageDestinations::Keep::kNo && !pushes)
    return fail(Code::kInvalidArgument, "store=false without push=true keeps nothing");
  if (pushes && names.empty())
    return tl::unexpected(Error(Code::kInvalidArgument, "tag is needed when pushing to registry")
                              .hint("give the image a name: -t REGISTRY/NAME, or name="));
  for (const std::string& name : names)
    if (to.by == PushBy::kDigest && oci::has_tag(name))
      return fail(Code::kInvalidArgument, "can't push tagged ref " + quote(name) + " by digest");
  return {};
}

Result<ImageDestinations> image_destinations(Attributes& attributes, const OutputSpec& spec,
                                             const BuildOptions& options) {
  ImageDestinations to;
  const bool pushes_itself = spec.type == "registry" || (spec.type == "image" && options.push);
  KILN_TRY_ASSIGN(const bool push, attributes.take_bool("push", pushes_itself ? "true" : "false"));
  KILN_TRY_ASSIGN(const bool by_digest, attributes.take_bool("push-by-digest", "false"));
  KILN_TRY_ASSIGN(const bool insecure, attributes.take_bool("registry.insecure", "false"));
  KILN_TRY_ASSIGN(const bool canonical, attributes.take_bool("name-canonical", "false"));
  KILN_TRY_ASSIGN(const bool store, attributes.take_bool("store", "true"));
  // An image is unpacked when a step reads it, so both answers mean the same.
  KILN_TRY(attributes.take_bool("unpack", "false"));
  to.dangling_prefix = attributes.take("dangling-name-prefix").value_or("");
  if (!to.dangling_prefix.empty()) {
    const auto prefix = oci::Reference::parse(to.dangling_prefix);
    if (!prefix) return tl::unexpected(prefix.error().wrap("dangling-name-prefix"));
  }
  if (push) to.push = ImageDestinations::Push::kYes;
  if (by_digest) to.by = PushBy::kDigest;
  if (insecure) to.transport = Transport::kInsecure;
  if (canonical) to.canonical = ImageDestinations::Canonical::kYes;
  if (!store) to.keep = ImageDestinations::Keep::kNo;
  return to;
}

Status add_image(Planner& planner, OutputSpec& spec, const BuildOptions& options) {
  std::vector<std::string> names = options.tags;
  if (const auto own = spec.attrs.find("name"); own != spec.attrs.end() && !own->second.empty())
    names = split(own->second, ',');
  Attributes attributes(spec);
  KILN_TRY_ASSIGN(ImageExportOptions image, image_options(attributes, options));
  KILN_TRY_ASSIGN(ImageDestinations to, image_destinations(attributes, spec, options));
  KILN_TRY(attributes.refuse_rest());
  KILN_TRY(check_push(to, names));
  planner.uses_layers(image.compression);
  if (to.push == ImageDestinations::Push::kYes) planner.plan.sends_image = true;
  planner.plan.rewrites_times = planner.plan.rewrites_times || image.rewrite_timestamp;
  planner.plan.exporters.push_back(make_image_exporter(std::move(image), std::move(to)));
  return {};
}

Status add_files(Planner& planner, OutputSpec& spec) {
  Attributes attributes(spec);
  planner.all_layers = false;
  FilesExportOptions files;
  if (const auto split = attributes.take("platform-split")) {
    KILN_TRY_ASSIGN(files.platform_split, parse_bool("platform-split", *split));
  }
  KILN_TRY_ASSIGN(files.source_date_epoch, take_epoch(attributes));
  if (spec.type == "local") {
    KILN_TRY_ASSIGN(files.destination, need_dest(attributes, spec.type));
    KILN_TRY(attributes.refuse_rest());
    if (files.destination == "-")
      return fail(Code::kInvalidArgument,
                  "output type=local cannot go to standard output: use type=tar,dest=-");
    KILN_TRY(planner.claim(files.destination));
    planner.plan.exporters.push_back(make_directory_exporter(std::move(files)));
    return {};
  }
  files.destination = attributes.take("dest").value_or("-");
  KILN_TRY(attributes.refuse_rest());
  KILN_TRY(planner.claim(files.destination));
  planner.plan.exporters.push_back(make_tar_exporter(std::move(files)));
  return {};
}

Status add_output(Planner& planner, OutputSpec spec, const BuildOptions& options) {
  if (spec.type == "image" || spec.type == "registry") return add_image(planner, spec, options);
  if (spec.type == "docker" && !spec.attrs.contains("dest"))
    return add_image(planner, spec, options);  // --load
  if (spec.type == "oci" || spec.type == "docker") return add_archive(planner, spec, options);
  if (spec.type == "local" || spec.type == "tar") return add_files(planner, spec);
  if (spec.type == "cacheonly") {
    planner.all_layers = false;
    return Attributes(spec).refuse_rest();
  }
  return fail(Code::kInvalidArgument,
              "unknown output type " + quote(spec.type) + did_you_mean(spec.type, known_types()));
}

}  // namespace

Result<OutputPlan> plan_outputs(const BuildOptions& options) {
  Planner planner;
  std::vector<std::string> outputs = options.outputs;
  if (outputs.empty() || options.load) outputs.emplace_back("type=image");
  bool pushes = false;
  for (const std::string& output : outputs) {
    KILN_TRY_ASSIGN(OutputSpec spec, parse_output(output));
    pushes = pushes || spec.type == "image" || spec.type == "registry";
    KILN_TRY(add_output(planner, std::move(spec), options));
  }
  // --push is about images: where none is asked for, one is made for it.
  if (options.push && !pushes) KILN_TRY(add_output(planner, {"registry", {}}, options));
  if (planner.all_layers && planner.plan.makes_image) planner.plan.pack_targets = PackTargets::kYes;
  return std::move(planner.plan);
}

}  // namespace kiln::cmd
