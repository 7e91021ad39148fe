#include "cmd/image_filter.h"

#include <algorithm>

#include "base/clock.h"
#include "base/glob.h"
#include "base/strings.h"

namespace kiln::cmd {
namespace {

Result<std::string> created_of(Engine& engine, const std::string& text) {
  KILN_TRY_ASSIGN(const oci::StoredImage image, find_image(engine, text));
  KILN_TRY_ASSIGN(const ImageFacts facts, image_facts(engine, image.descriptor));
  return facts.config_json["created"].as_string();
}

// Times have any number of digits after the second.
bool is_earlier(const std::string& a, const std::string& b) {
  const auto first = parse_rfc3339(a), second = parse_rfc3339(b);
  return first && second && *first < *second;
}

}  // namespace

bool matches_name(const std::string& pattern, const oci::Reference& name) {
  const std::string familiar = name.familiar();
  std::string repository = familiar;
  if (const size_t colon = repository.rfind(':'); !name.tag.empty() && colon != std::string::npos)
    repository.resize(colon);
  // Patterns were checked when they were given.
  return glob_match(pattern, familiar).value_or(false) ||
         glob_match(pattern, repository).value_or(false);
}

Result<ImageFilter> ImageFilter::parse(Engine& engine, const std::vector<std::string>& texts) {
  ImageFilter filter;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos)
      return fail(Code::kInvalidArgument, "--filter " + quote(text) + " is not KEY=VALUE");
    KILN_TRY(filter.add(engine, text.substr(0, equals), text.substr(equals + 1)));
  }
  return filter;
}

Status ImageFilter::add(Engine& engine, const std::string& key, const std::string& value) {
  static const std::vector<std::string> kKeys = {"dangling", "label", "before", "since",
                                                 "reference"};
  if (key == "dangling") {
    if (value != "true" && value != "false")
      return fail(Code::kInvalidArgument,
                  "--filter dangling=" + quote(value) + ": expected true or false");
    dangling_ = value == "true";
  } else if (key == "label") {
    const size_t equals = value.find('=');
    labels_.emplace_back(value.substr(0, equals),
                         equals == std::string::npos
                             ? std::nullopt
                             : std::optional<std::string>(value.substr(equals + 1)));
  } else if (key == "reference") {
    KILN_TRY(check_glob(value));
    patterns_.push_back(value);
  } else if (key == "before") {
    KILN_TRY_ASSIGN(before_, created_of(engine, value));
  } else if (key == "since") {
    KILN_TRY_ASSIGN(since_, created_of(engine, value));
  } else {
    return fail(Code::kInvalidArgument,
                "--filter: unknown key " + quote(key) + did_you_mean(key, kKeys));
  }
  return {};
}

bool ImageFilter::accepts(const oci::StoredImage& image, const ImageFacts& facts) const {
  if (dangling_ && *dangling_ != image.name.empty()) return false;
  const Json& labels = facts.config_json["config"]["Labels"];
  for (const auto& [name, value] : labels_) {
    const Json* found = labels.find(name);
    if (found == nullptr || (value && found->as_string() != *value)) return false;
  }
  const std::string& created = facts.config_json["created"].as_string();
  if (before_ && !is_earlier(created, *before_)) return false;
  if (since_ && !is_earlier(*since_, created)) return false;
  if (patterns_.empty()) return true;
  const Result<oci::Reference> name = oci::Reference::parse(image.name);
  return name && std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
           return matches_name(pattern, *name);
         });
}

}  // namespace kiln::cmd
