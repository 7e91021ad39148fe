// `kiln imagetools inspect`: what a name stands for in its registry, as buildx prints it.
#include <cstdio>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/go_template.h"
#include "cmd/remote_images.h"
#include "oci/image.h"

namespace kiln::cmd {
namespace {

class RemoteInspection {
 public:
  RemoteInspection(RemoteImages& images, const oci::Reference& name)
      : images_(images), name_(name) {}

  Result<std::string> text(const ImagetoolsInspectOptions& options) {
    KILN_TRY_ASSIGN(const oci::Repository::Document document, images_.manifest(name_));
    if (options.raw) return document.text;  // without a line's end: it has a digest
    if (options.format.empty()) return described(document);
    KILN_TRY_ASSIGN(const GoTemplate text, GoTemplate::parse(options.format));
    KILN_TRY_ASSIGN(Json data, data_of(document, options.format));
    KILN_TRY_ASSIGN(std::string rendered, text.render(data));
    return rendered + "\n";
  }

 private:
  static std::string platform_of(const Json& entry) {
    const Json& platform = entry["platform"];
    std::string text = platform["os"].as_string() + "/" + platform["architecture"].as_string();
    if (const std::string& variant = platform["variant"].as_string(); !variant.empty())
      text += "/" + variant;
    return text;
  }

  Result<std::string> described(const oci::Repository::Document& document) const {
    std::string text = "Name:      " + name_.to_string() +
                       "\nMediaType: " + printable(document.descriptor.media_type) +
                       "\nDigest:    " + document.descriptor.digest.to_string() + "\n";
    if (!oci::is_index(document.descriptor.media_type)) return text;
    KILN_TRY(oci::parse_index(document.text));  // checks it
    KILN_TRY_ASSIGN(const Json index, Json::parse(document.text));
    text += "\nManifests:\n";
    bool first = true;
    for (const Json& entry : index["manifests"].elements()) {
      text += first ? "" : "\n";
      first = false;
      text += "  Name:        " + name_.to_string() + "@" + entry["digest"].as_string() +
              "\n  MediaType:   " + printable(entry["mediaType"].as_string()) + "\n";
      const Json& platform = entry["platform"];
      if (platform.is_object()) text += "  Platform:    " + printable(platform_of(entry)) + "\n";
      if (const Json* version = platform.find("os.version"))
        text += "  OSVersion:   " + printable(version->as_string()) + "\n";
      if (const Json* urls = entry.find("urls"))
        text += "  URLs:        " + printable(join(urls->strings(), ", ")) + "\n";
      if (entry["annotations"].members().empty()) continue;
      text += "  Annotations:\n";
      for (const auto& [key, value] : entry["annotations"].members())
        text += "    " + printable(key) + ": " + printable(value.as_string()) + "\n";
    }
    return text;
  }

  // Configs are fetched if the format can ask for them.
  Result<Json> data_of(const oci::Repository::Document& document, const std::string& format) {
    Json manifest = Json::object();
    KILN_TRY_ASSIGN(const Json content, Json::parse(document.text));
    manifest.set("schemaVersion", content["schemaVersion"]);
    manifest.set("mediaType", document.descriptor.media_type);
    manifest.set("digest", document.descriptor.digest.to_string());
    manifest.set("size", document.descriptor.size);
    for (const auto& [key, value] : content.members())
      if (manifest.find(key) == nullptr) manifest.set(key, value);
    Json data = Json::object();
    data.set("Name", name_.to_string());
    data.set("Manifest", std::move(manifest));
    if (format.find("Image") != std::string::npos || format.find("json .}") != std::string::npos) {
      KILN_TRY_ASSIGN(Json image, image_of(document));
      data.set("Image", std::move(image));
    }
    return data;
  }

  // Of an index with several platforms an object of them, else the config itself.
  Result<Json> image_of(const oci::Repository::Document& document) {
    if (!oci::is_index(document.descriptor.media_type)) {
      KILN_TRY_ASSIGN(const auto config, images_.config(name_, document.text));
      return config.value_or(Json());
    }
    KILN_TRY_ASSIGN(const oci::Index index, oci::parse_index(document.text));
    Json all = Json::object();
    for (const oci::Descriptor& entry : index.manifests) {
      if (!oci::is_manifest(entry.media_type)) continue;
      if (entry.platform && entry.platform->os == "unknown") continue;  // an attestation
      oci::Reference name = name_;
      name.digest = entry.digest;
      KILN_TRY_ASSIGN(const oci::Repository::Document manifest, images_.manifest(name));
      KILN_TRY_ASSIGN(const auto config, images_.config(name, manifest.text));
      if (!config) continue;
      KILN_TRY_ASSIGN(const oci::ConfigFacts facts, oci::config_facts(*config));
      all.set((entry.platform ? *entry.platform : facts.platform).to_string(), *config);
    }
    if (all.members().size() == 1) return all.members().front().second;
    return all;
  }

  RemoteImages& images_;
  const oci::Reference& name_;
};

}  // namespace

CommandResult run_imagetools_inspect(const ImagetoolsInspectOptions& options,
                                     const Invocation& invocation) {
  const Result<oci::Reference> name = oci::Reference::parse(options.reference);
  if (!name) return usage_failure(name.error());
  if (options.raw && !options.format.empty())
    return usage_failure(
        Error(Code::kInvalidArgument, "--raw and --format cannot be used together"));
  if (const auto format = GoTemplate::parse(options.format); !format)
    return usage_failure(format.error());
  RemoteImages images(invocation.environment, invocation.stop);
  KILN_CMD_TRY_ASSIGN(const std::string text, RemoteInspection(images, *name).text(options));
  (void)std::fwrite(text.data(), 1, text.size(), stdout);  // main sees whether it arrived
  return {};
}

}  // namespace kiln::cmd
