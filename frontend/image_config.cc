#include "frontend/image_config.h"

#include "base/clock.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace kiln::frontend {
namespace {

constexpr char kHistoryComment[] = "buildkit.dockerfile.v0";

bool claims_layers(const Json& document) {
  if (!document["rootfs"]["diff_ids"].elements().empty()) return true;
  const auto& history = document["history"].elements();
  return std::any_of(history.begin(), history.end(),
                     [](const Json& entry) { return !entry["empty_layer"].as_bool(); });
}

/// The maps of a config are written in order of their keys, as Go writes them: set_entry() relies
/// on it.
Status check_members(Json& config) {
  for (const char* key : {"Labels", "ExposedPorts", "Volumes"}) {
    const Json* found = config.find(key);
    if (found == nullptr || found->is_null()) continue;
    if (!found->is_object()) {
      return fail(Code::kInvalidArgument,
                  "image config: \"" + std::string(key) + "\" is not an object");
    }
    Json::Object& members = config.member(key).make_object();
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  const Json& env = config["Env"];
  if (env.is_null() || env.is_array()) return {};
  return fail(Code::kInvalidArgument, "image config: \"Env\" is not a list");
}

}  // namespace

const char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<ImageConfig> ImageConfig::parse(std::string_view text) {
  KILN_TRY_ASSIGN(Json document, Json::parse(text));
  if (!document.is_object()) return fail(Code::kInvalidArgument, "image config is not an object");
  ImageConfig out;
  out.has_layers_ = claims_layers(document);
  if (document["config"].is_object()) out.config_ = document["config"];
  KILN_TRY(check_members(out.config_));
  if (document["history"].is_array()) out.history_ = document["history"];
  for (const char* key : {"created", "rootfs", "history", "config"}) document.erase(key);
  out.document_ = std::move(document);
  return out;
}

ImageConfig ImageConfig::empty(const Platform& platform) {
  ImageConfig out;
  out.set_platform(platform);
  out.set_env("PATH", kDefaultPath);
  out.set_text("WorkingDir", "/");
  return out;
}

Platform ImageConfig::platform() const {
  return {document_["os"].as_string(), document_["architecture"].as_string(),
          document_["variant"].as_string()};
}

void ImageConfig::set_platform(const Platform& platform) {
  const Platform had = this->platform();
  const bool same = had.os == platform.os && had.architecture == platform.architecture;
  document_.set("architecture", platform.architecture);
  document_.set("os", platform.os);
  // A base image that is more exact about the same architecture keeps its variant.
  if (!platform.variant.empty()) {
    document_.set("variant", platform.variant);
  } else if (!same) {
    document_.erase("variant");
  }
}

void ImageConfig::set_env(std::string_view key, std::string_view value) {
  std::string text = std::string(key) + "=";
  const auto names = [&text, key](const Json& item) {
    return item.as_string().starts_with(text) || item.as_string() == key;
  };
  Json::Array& items = config_.member("Env").make_array();
  const auto found = std::find_if(items.begin(), items.end(), names);
  Json& item = found == items.end() ? items.emplace_back() : *found;
  item = text.append(value);
}

void ImageConfig::set_text(std::string_view key, const std::string& value) {
  if (value.empty()) {
    config_.erase(key);
  } else {
    config_.set(key, value);
  }
}

void ImageConfig::set_list(std::string_view key, const std::vector<std::string>& values) {
  if (values.empty()) {
    config_.erase(key);
  } else {
    config_.set(key, Json::array_of(values));
  }
}

void ImageConfig::set_entry(std::string_view key, std::string_view entry, Json value) {
  Json::Object& members = config_.member(key).make_object();
  const auto place = std::lower_bound(
      members.begin(), members.end(), entry,
      [](const Json::Member& member, std::string_view name) { return member.first < name; });
  if (place != members.end() && place->first == entry) {
    place->second = std::move(value);
  } else {
    members.emplace(place, std::string(entry), std::move(value));
  }
}

void ImageConfig::add_onbuild(std::string trigger) {
  std::vector<std::string> triggers = onbuild();
  triggers.push_back(std::move(trigger));
  set_list("OnBuild", triggers);
}

void ImageConfig::add_history(std::string created_by, Layer layer, std::optional<int64_t> epoch) {
  Json entry = Json::object();
  if (epoch) {
    entry.set("created", format_rfc3339(std::chrono::sys_seconds(std::chrono::seconds(*epoch))));
  }
  entry.set("created_by", std::move(created_by));
  entry.set("comment", kHistoryComment);
  if (layer == Layer::kNo) entry.set("empty_layer", true);
  history_.push_back(std::move(entry));
}

std::string ImageConfig::to_json() const {
  Json document = document_;
  document.set("config", config_);
  document.set("history", history_);
  return document.dump();
}

}  // namespace kiln::frontend
