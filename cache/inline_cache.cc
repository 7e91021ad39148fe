#include "cache/inline_cache.h"

#include <algorithm>
#include <set>

#include "cache/entry.h"
#include "oci/base64.h"

namespace kiln::cache {
namespace {

constexpr size_t kMaxInlineBytes = 4U << 20U;

std::optional<KeyRecord> record_in(const Json& json) {
  const auto bytes = oci::decode_base64(json.as_string());
  if (!bytes) return std::nullopt;
  auto record = KeyRecord::decode(*bytes);
  if (!record) return std::nullopt;
  return *std::move(record);
}

// The image's layers as results have them; empty: config and manifest do not fit.
std::vector<oci::LayerBlob> layers_of(const Json& config, const oci::Manifest& manifest) {
  const auto facts = oci::config_facts(config);
  std::vector<oci::LayerBlob> layers;
  if (!facts || facts->diff_ids.size() != manifest.layers.size()) return layers;
  for (size_t i = 0; i < manifest.layers.size(); ++i)
    layers.push_back({manifest.layers[i], facts->diff_ids[i]});
  return layers;
}

}  // namespace

Json to_json(InlineCache cache) {
  std::ranges::sort(cache.records, [](const InlineRecord& a, const InlineRecord& b) {
    return a.layers != b.layers ? a.layers > b.layers : a.record.key() < b.record.key();
  });
  std::ranges::sort(cache.aliases, [](const InlineAlias& a, const InlineAlias& b) {
    return a.fast.key() < b.fast.key();
  });
  size_t bytes = 0;
  std::set<CacheKey> kept, seen;
  Json records = Json::array(), aliases = Json::array(), times = Json::array();
  const auto fits = [&](const std::string& text) {
    if (bytes + text.size() > kMaxInlineBytes) return false;
    bytes += text.size();
    return true;
  };
  for (const InlineRecord& each : cache.records) {
    if (!seen.insert(each.record.key()).second) continue;
    std::string text = oci::encode_base64(each.record.encode());
    if (!fits(text)) break;
    kept.insert(each.record.key());
    Json json = Json::object();
    json.set("record", std::move(text));
    json.set("layers", static_cast<uint64_t>(each.layers));
    json.set("created", static_cast<int64_t>(each.created.time_since_epoch().count()));
    records.push_back(std::move(json));
  }
  for (const InlineAlias& each : cache.aliases) {
    if (!kept.contains(each.target) || !seen.insert(each.fast.key()).second) continue;
    std::string text = oci::encode_base64(each.fast.encode());
    if (!fits(text)) break;
    Json json = Json::object();
    json.set("record", std::move(text));
    json.set("target", each.target.digest.to_string());
    aliases.push_back(std::move(json));
  }
  for (const std::chrono::sys_seconds time : cache.layer_times)
    times.push_back(static_cast<int64_t>(time.time_since_epoch().count()));
  Json json = Json::object();
  json.set("layerTimes", std::move(times));
  json.set("records", std::move(records));
  json.set("aliases", std::move(aliases));
  return json;
}

std::map<CacheKey, std::string> inline_entries(const Json& config, const oci::Manifest& manifest) {
  std::map<CacheKey, std::string> entries;
  const Json& json = config[kInlineKey];
  const std::vector<oci::LayerBlob> layers = layers_of(config, manifest);
  const Json::Array& times = json["layerTimes"].elements();
  for (const Json& each : json["records"].elements()) {
    auto record = record_in(each["record"]);
    const uint64_t count = each["layers"].as_uint();
    if (!record || count == 0 || count > layers.size() || times.size() != layers.size()) continue;
    CacheResult result;
    result.created = decltype(result.created)(std::chrono::nanoseconds(each["created"].as_int()));
    for (size_t i = 0; i < count; ++i) {
      result.layers.push_back(layers[i]);
      result.layer_times.emplace_back(std::chrono::seconds(times[i].as_int()));
    }
    const CacheKey key = record->key();
    entries.emplace(key, encode_entry(ResultEntry{*std::move(record), std::move(result)}));
  }
  for (const Json& each : json["aliases"].elements()) {
    auto fast = record_in(each["record"]);
    const auto target = Digest::parse(each["target"].as_string());
    if (!fast || !target) continue;
    const CacheKey key = fast->key();
    entries.emplace(key, encode_entry(AliasEntry{*std::move(fast), CacheKey{*target}}));
  }
  return entries;
}

}  // namespace kiln::cache
