#include "oci/combine.h"

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kAttests = "vnd.docker.reference.digest";

// As the user would write it; "": none.
std::string platform_text(const Json& descriptor) {
  const Json& json = descriptor["platform"];
  if (!json.is_object()) return "";
  const Platform platform{json["os"].as_string(), json["architecture"].as_string(),
                          json["variant"].as_string()};
  const Result<Platform> plain = Platform::parse(platform.to_string());
  return plain ? plain->to_string() : platform.to_string();
}

class Combination {
 public:
  explicit Combination(const CombineRequest& request) : request_(request) {}

  Result<CombinedImage> run() {
    KILN_CHECK(!request_.parts.empty());
    if (is_copy()) return copied();
    for (part_ = 0; part_ < request_.parts.size(); ++part_)
      KILN_TRY(add_part(request_.parts[part_]));
    KILN_TRY(keep_platforms());
    KILN_TRY(annotate());
    return index();
  }

 private:
  bool is_copy() const {
    if (request_.parts.size() != 1 || !request_.annotations.empty() ||
        !request_.entry_annotations.empty() || !request_.platforms.empty())
      return false;
    return is_index(request_.parts.front().descriptor["mediaType"].as_string()) ||
           request_.single == CombineRequest::Single::kCopy;
  }

  Result<CombinedImage> copied() const {
    const CombinePart& part = request_.parts.front();
    CombinedImage image{part.descriptor["mediaType"].as_string(), part.text, {}};
    if (!is_index(image.media_type)) {
      image.entries = {{Digest::of(part.text), 0}};
      return image;
    }
    KILN_TRY_ASSIGN(const Index index, parse_index(part.text));
    for (const Descriptor& entry : index.manifests) image.entries.push_back({entry.digest, 0});
    return image;
  }

  Status add_part(const CombinePart& part) {
    const std::string& type = part.descriptor["mediaType"].as_string();
    if (is_manifest(type)) return add(part.descriptor);
    if (!is_index(type))
      return fail(Code::kInvalidArgument, "a " + quote(type) + " cannot be in an image index");
    KILN_TRY(parse_index(part.text));  // checks it
    KILN_TRY_ASSIGN(const Json json, Json::parse(part.text));
    for (const Json& entry : json["manifests"].elements()) KILN_TRY(add(entry));
    return {};
  }

  Status add(const Json& entry) {
    KILN_TRY(descriptor_from_json(entry));  // checks it
    const auto known = std::ranges::find_if(entries_, [&](const Json& other) {
      return other["digest"].as_string() == entry["digest"].as_string();
    });
    if (known == entries_.end()) {
      entries_.push_back(entry);
      parts_.emplace(entry["digest"].as_string(), part_);
      return {};
    }
    if (const Json* platform = entry.find("platform")) known->set("platform", *platform);
    for (const auto& [name, value] : entry["annotations"].members())
      known->member("annotations").set(name, value);
    return {};
  }

  Status keep_platforms() {
    if (request_.platforms.empty()) return {};
    std::set<std::string> wanted, missing, digests;
    for (const Platform& platform : request_.platforms) wanted.insert(platform.to_string());
    missing = wanted;
    for (const Json& entry : entries_) {
      if (!wanted.contains(platform_text(entry))) continue;
      missing.erase(platform_text(entry));
      digests.insert(entry["digest"].as_string());
    }
    if (!missing.empty()) return no_platform(*missing.begin());
    std::erase_if(entries_, [&](const Json& entry) {
      return !digests.contains(entry["digest"].as_string()) &&
             !digests.contains(entry["annotations"][kAttests].as_string());
    });
    return {};
  }

  Status no_platform(const std::string& wanted) const {
    std::set<std::string> there;
    for (const Json& entry : entries_)
      if (const std::string text = platform_text(entry);
          !text.empty() && !text.starts_with("unknown"))
        there.insert(text);
    const std::vector<std::string> list(there.begin(), there.end());
    const Error error(Code::kNotFound, "no source has a manifest for " + wanted);
    return tl::unexpected(list.empty() ? error : error.hint("there are " + join(list, ", ")));
  }

  Status annotate() {
    for (const EntryAnnotation& annotation : request_.entry_annotations) {
      const std::string wanted = annotation.platform ? annotation.platform->to_string() : "";
      bool any = false;
      for (Json& entry : entries_) {
        if (!wanted.empty() && platform_text(entry) != wanted) continue;
        entry.member("annotations").set(annotation.name, annotation.value);
        any = true;
      }
      if (!any) return no_platform(wanted);
    }
    return {};
  }

  Result<CombinedImage> index() {
    const bool docker = request_.annotations.empty() && request_.entry_annotations.empty() &&
                        std::ranges::all_of(entries_, [](const Json& entry) {
                          return entry["mediaType"].as_string() == media_type::kDockerManifest;
                        });
    CombinedImage image;
    image.media_type = docker ? media_type::kDockerIndex : media_type::kIndex;
    Json json = Json::object();
    json.set("schemaVersion", 2);
    json.set("mediaType", image.media_type);
    for (const Json& entry : entries_) {
      KILN_TRY_ASSIGN(const Digest digest, Digest::parse(entry["digest"].as_string()));
      image.entries.push_back({digest, parts_.at(digest.to_string())});
    }
    json.set("manifests", Json::array(std::move(entries_)));
    if (!request_.annotations.empty()) {
      Json annotations = Json::object();
      for (const auto& [name, value] : request_.annotations) annotations.set(name, value);
      json.set("annotations", std::move(annotations));
    }
    image.text = json.dump_pretty();
    return image;
  }

  const CombineRequest& request_;
  Json::Array entries_;
  size_t part_ = 0;                      // whose entries are being added
  std::map<std::string, size_t> parts_;  // by digest: where an entry is from
};

}  // namespace

Result<CombinedImage> combine(const CombineRequest& request) {
  return Combination(request).run();
}

}  // namespace kiln::oci
