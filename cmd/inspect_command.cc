// `kiln inspect` and `kiln history`: an image's config as Docker shows it.
#include <cstdio>

#include "base/clock.h"
#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/go_template.h"
#include "cmd/image_lookup.h"
#include "cmd/rows.h"
#include "cmd/terminal_text.h"

namespace kiln::cmd {
namespace {

// Names by tag, and by what the tag stands for.
Status add_names(Engine& engine, const oci::StoredImage& image, Json& json) {
  Json tags = Json::array(), digests = Json::array();
  KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> all, engine.images().list());
  for (const oci::StoredImage& other : all) {
    if (other.descriptor.digest != image.descriptor.digest || other.name.empty()) continue;
    Result<oci::Reference> name = oci::Reference::parse(other.name);
    if (!name) continue;
    if (!name->tag.empty()) tags.push_back(name->familiar());
    name->tag.clear();
    name->digest = other.descriptor.digest;
    digests.push_back(name->familiar());
  }
  json.set("RepoTags", std::move(tags));
  json.set("RepoDigests", std::move(digests));
  return {};
}

// What an index says of its manifests, and which are here: as the Engine's API has it.
Result<Json> manifests_of(Engine& engine, const oci::Descriptor& index) {
  KILN_TRY_ASSIGN(const std::string text,
                  oci::read_blob(engine.content(), index.digest, oci::kMaxDocumentBytes));
  KILN_TRY_ASSIGN(const oci::Index parsed, oci::parse_index(text));
  Json all = Json::array();
  for (const oci::Descriptor& entry : parsed.manifests) {
    const bool attests = entry.platform && entry.platform->os == "unknown";
    KILN_TRY_ASSIGN(const auto here, engine.content().size(entry.digest));
    Json json = Json::object();
    json.set("ID", entry.digest.to_string());
    json.set("Descriptor", to_json(entry));
    json.set("Available", here.has_value());
    json.set("Kind", attests ? "attestation" : "image");
    if (here && !attests) {
      KILN_TRY_ASSIGN(const ImageFacts facts, image_facts(engine, entry));
      KILN_TRY_ASSIGN(const oci::ConfigFacts config, oci::config_facts(facts.config_json));
      Json size = Json::object();
      size.set("Content", facts.size_bytes);
      json.set("Size", std::move(size));
      Json data = Json::object();
      data.set("Platform",
               to_json(oci::Descriptor{{}, entry.digest, 0, config.platform, {}})["platform"]);
      json.set("ImageData", std::move(data));
    }
    all.push_back(std::move(json));
  }
  return all;
}

Result<Json> inspected(Engine& engine, const std::string& text, const std::string& platform) {
  KILN_TRY_ASSIGN(const oci::StoredImage named, find_image(engine, text));
  KILN_TRY_ASSIGN(const oci::StoredImage image, find_image_for(engine, text, platform));
  KILN_TRY_ASSIGN(const ImageFacts facts, image_facts(engine, image.descriptor));
  const Json& config = facts.config_json;
  Json json = Json::object();
  json.set("Id", facts.id.to_string());
  KILN_TRY(add_names(engine, named, json));
  json.set("Parent", "");
  const Json::Array& history = config["history"].elements();
  json.set("Comment", history.empty() ? "" : history.back()["comment"].as_string());
  json.set("Created", config["created"].as_string());
  json.set("Author", config["author"].as_string());
  json.set("Config", config["config"]);
  json.set("Architecture", config["architecture"].as_string());
  if (const Json* variant = config.find("variant")) json.set("Variant", *variant);
  json.set("Os", config["os"].as_string());
  json.set("Size", facts.size_bytes);
  Json root = Json::object();
  root.set("Type", "layers");
  root.set("Layers", config["rootfs"]["diff_ids"]);
  json.set("RootFS", std::move(root));
  Json metadata = Json::object();
  metadata.set("LastTagTime", format_rfc3339(image.created));
  json.set("Metadata", std::move(metadata));
  json.set("Descriptor", to_json(image.descriptor));
  if (oci::is_index(image.descriptor.media_type)) {
    KILN_TRY_ASSIGN(Json manifests, manifests_of(engine, image.descriptor));
    json.set("Manifests", std::move(manifests));
  }
  return json;
}

// Docker's: the instruction alone, its shell's words left out.
std::string shortened(const std::string& text, size_t limit) {
  if (columns_of(text) <= limit) return text;
  return cut_to_columns(text, limit - 1) + "…";
}

Result<std::vector<Json>> history_rows(Engine& engine, const ImageFacts& facts,
                                       const HistoryOptions& options) {
  KILN_TRY_ASSIGN(const std::string text,
                  oci::read_blob(engine.content(), facts.manifest.digest, oci::kMaxDocumentBytes));
  KILN_TRY_ASSIGN(const oci::Manifest manifest, oci::parse_manifest(text));
  std::vector<Json> rows;
  size_t layer = 0;
  const Json::Array& history = facts.config_json["history"].elements();
  for (const Json& entry : history) {
    const bool empty = entry["empty_layer"].as_bool();
    const uint64_t size =
        !empty && layer < manifest.layers.size() ? manifest.layers[layer++].size : 0;
    const auto made = parse_rfc3339(entry["created"].as_string());
    const std::string created =
        made ? format_rfc3339(std::chrono::floor<std::chrono::seconds>(*made)) : "N/A";
    const std::string by = printable(entry["created_by"].as_string());
    Json row = Json::object();
    row.set("ID", "<missing>");
    row.set("CreatedAt", created);
    const std::string since = made ? ago(Clock::system().now() - *made) : "N/A";
    row.set("CreatedSince", options.human ? since : created);
    row.set("CreatedBy", options.no_trunc ? by : shortened(by, 45));
    row.set("Size", options.human ? human_bytes(size) : std::to_string(size));
    row.set("Comment", printable(entry["comment"].as_string()));
    rows.push_back(std::move(row));
  }
  if (!rows.empty())
    rows.back().set("ID", options.no_trunc ? facts.id.to_string() : facts.id.hex().substr(0, 12));
  return std::vector<Json>(rows.rbegin(), rows.rend());
}

Result<std::string> inspect_text(const std::vector<Json>& images, const std::string& format) {
  if (format.empty() || format == "json") {
    Json all = Json::array();
    for (const Json& image : images) all.push_back(image);
    return (format.empty() ? all.dump_pretty(4) : all.dump()) + "\n";
  }
  return format_rows(images, {}, {}, format);
}

}  // namespace

// What is there is shown, whatever else is not.
CommandResult run_inspect(const InspectOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  std::vector<Json> images;
  std::vector<Error> missing;
  for (const std::string& text : options.references) {
    Result<Json> image = inspected(*engine, text, options.platform);
    if (image)
      images.push_back(*std::move(image));
    else
      missing.push_back(image.error());
  }
  const Result<std::string> text = inspect_text(images, options.format);
  if (!text) return usage_failure(text.error());
  (void)std::fputs(text->c_str(), stdout);  // main sees whether it arrived
  if (!missing.empty()) return failure(joined(missing));
  return {};
}

CommandResult run_history(const HistoryOptions& options, const Invocation& invocation) {
  static const std::vector<Column> kColumns = {
      {"ID", "IMAGE"},  {"CreatedSince", "CREATED"}, {"CreatedBy", "CREATED BY"},
      {"Size", "SIZE"}, {"Comment", "COMMENT"},      {"CreatedAt", "CREATED AT"}};
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  KILN_CMD_TRY_ASSIGN(const oci::StoredImage image,
                      find_image_for(*engine, options.reference, options.platform));
  KILN_CMD_TRY_ASSIGN(const ImageFacts facts, image_facts(*engine, image.descriptor));
  KILN_CMD_TRY_ASSIGN(const std::vector<Json> rows, history_rows(*engine, facts, options));
  std::vector<Column> shown(kColumns.begin(), kColumns.end() - 1);
  if (!options.human) shown[1] = kColumns.back();
  const Result<std::string> text =
      format_rows(rows, shown, kColumns, options.quiet ? "{{.ID}}" : options.format);
  if (!text) return usage_failure(text.error());
  (void)std::fputs(text->c_str(), stdout);  // main sees whether it arrived
  return {};
}

}  // namespace kiln::cmd
