#include "cmd/cache_options.h"

#include <algorithm>
#include <map>

#include "base/fs.h"
#include "base/strings.h"
#include "oci/reference.h"

namespace kiln::cmd {
namespace {

constexpr size_t kMaxKeyFile = 64U << 10U;

/// One option's text, from which its parts are taken by name.
class CacheText {
 public:
  static Result<CacheText> parse(const std::string& option, const std::string& text) {
    CacheText parsed(option + " " + quote(text));
    KILN_TRY_ASSIGN(const std::vector<std::string> fields, parse_csv(text));
    if (fields.size() == 1 && fields[0].find('=') == std::string::npos) {
      parsed.parts_ = {{"type", "registry"}, {"ref", fields[0]}};
      return parsed;
    }
    for (const std::string& field : fields) {
      const size_t equals = field.find('=');
      if (equals == std::string::npos) return parsed.wrong(quote(field) + " is not KEY=VALUE");
      const std::string key = to_lower(trim(std::string_view(field).substr(0, equals)));
      if (!parsed.parts_.emplace(key, field.substr(equals + 1)).second)
        return parsed.wrong(quote(key) + " is given twice");
    }
    if (!parsed.parts_.contains("type")) return parsed.wrong("it has no type=");
    return parsed;
  }

  std::string take(const std::string& key, const std::string& otherwise = {}) {
    asked_.push_back(key);
    const auto found = parts_.find(key);
    if (found == parts_.end()) return otherwise;
    std::string value = std::move(found->second);
    parts_.erase(found);
    return value;
  }
  Result<std::string> need(const std::string& key, const std::string& what) {
    std::string value = take(key);
    if (value.empty()) return wrong("it needs " + key + "=" + what);
    return value;
  }
  Result<bool> take_bool(const std::string& key, bool otherwise) {
    const std::string value = to_lower(take(key, otherwise ? "true" : "false"));
    if (value == "true" || value == "1") return true;
    if (value == "false" || value == "0") return false;
    return wrong(key + "=" + quote(value) + ": expected true or false");
  }
  Result<std::string> key_file(const std::string& key, const std::string& path) const {
    Result<std::string> pem = read_file(path, kMaxKeyFile);
    if (!pem) return wrong(key + "=" + quote(path) + ": " + pem.error().message());
    return pem;
  }
  Status refuse_rest() const {
    if (parts_.empty()) return {};
    const std::string& key = parts_.begin()->first;
    return wrong("unknown option " + quote(key) + did_you_mean(key, asked_));
  }
  tl::unexpected<Error> wrong(const std::string& why) const {
    return fail(Code::kInvalidArgument, option_ + ": " + why);
  }
  tl::unexpected<Error> missing_type(const std::string& type, const std::string& known) const {
    for (const char* later : {"gha", "s3", "azblob"})
      if (type == later)
        return tl::unexpected(Error(Code::kUnimplemented, option_ + ": kiln has no type=" + type)
                                  .hint("it has " + known));
    return wrong("unknown type " + quote(type) + ": expected " + known);
  }

 private:
  explicit CacheText(std::string option) : option_(std::move(option)) {}
  std::string option_;  // with its text, for errors
  std::map<std::string, std::string> parts_;
  std::vector<std::string> asked_;
};

Status take_reference(CacheText& text, CachePlace& place) {
  KILN_TRY_ASSIGN(place.where, text.need("ref", "NAME[:TAG]"));
  const Result<oci::Reference> name = oci::Reference::parse(place.where);
  if (!name) return text.wrong(name.error().message());
  KILN_TRY_ASSIGN(place.insecure, text.take_bool("registry.insecure", false));
  return {};
}

Status take_mounts(CacheText& text, CachePlace& place) {
  const std::string names = text.take("mounts");
  if (names.empty()) return {};
  for (const std::string_view name : split(names, ';')) {
    if (name.empty()) return text.wrong("mounts=" + quote(names) + ": expected all or ID;ID");
    place.mounts.names.emplace_back(name);
  }
  if (names != "all") return {};
  place.mounts = {true, {}};
  return {};
}

Status take_trusted(CacheText& text, CachePlace& place) {
  const std::string file = text.take("trust");
  if (file.empty()) return {};
  KILN_TRY_ASSIGN(const std::string pem, text.key_file("trust", file));
  Result<std::vector<PublicKey>> keys = PublicKey::parse_pem(pem);
  if (!keys) return text.wrong("trust=" + quote(file) + ": " + keys.error().message());
  place.trusted = *std::move(keys);
  return {};
}

Status take_signing(CacheText& text, CacheTarget& target) {
  const std::string file = text.take("sign");
  if (file.empty()) return {};
  KILN_TRY_ASSIGN(const std::string pem, text.key_file("sign", file));
  Result<SigningKey> key = SigningKey::parse_pem(pem);
  if (!key) return text.wrong("sign=" + quote(file) + ": " + key.error().message());
  target.signing = *std::move(key);
  return {};
}

Result<CachePlace> place_of_import(CacheText& text) {
  CachePlace place;
  const std::string type = text.take("type");
  if (type == "local") {
    place.kind = CacheKind::kDirectory;
    KILN_TRY_ASSIGN(place.where, text.need("src", "DIRECTORY"));
    place.tag = text.take("tag", place.tag);
  } else if (type == "registry" || type == "kiln") {
    place.kind = type == "kiln" ? CacheKind::kKiln : CacheKind::kRegistry;
    KILN_TRY(take_reference(text, place));
  } else if (type == "inline") {
    return text.wrong("such a cache is in an image: read it with type=registry,ref=IMAGE");
  } else {
    return text.missing_type(type, "local, registry, kiln");
  }
  KILN_TRY(take_mounts(text, place));
  KILN_TRY(take_trusted(text, place));
  KILN_TRY(text.refuse_rest());
  return place;
}

Result<std::optional<oci::CompressionOptions>> take_compression(CacheText& text) {
  const std::string type = text.take("compression"), level = text.take("compression-level");
  if (type.empty() && level.empty()) return std::nullopt;
  oci::CompressionOptions compression;
  if (!type.empty()) {
    KILN_TRY_ASSIGN(compression.type, oci::parse_compression(type));
  }
  if (!level.empty()) {
    const int64_t highest = compression.type == oci::Compression::kZstd ? 22 : 9;
    const Result<int64_t> value = parse_int(level);
    if (!value || *value < 0 || *value > highest)
      return text.wrong("compression-level=" + quote(level) + ": expected 0 to " +
                        std::to_string(highest));
    compression.level = static_cast<int>(*value);
  }
  return compression;
}

// The layers are those of the image, and so is what can go wrong.
Result<CacheTarget> inline_target(CacheText& text, CacheTarget target) {
  target.place.kind = CacheKind::kInline;
  const std::string mode = text.take("mode", "min");
  if (mode != "min")
    return text.wrong("mode=" + quote(mode) + ": an image has room for its own layers only (min)");
  KILN_TRY(text.refuse_rest());
  return target;
}

// What other builders ask for so that registries take their caches is how kiln's are anyway.
Status take_form(CacheText& text) {
  for (const char* key : {"image-manifest", "oci-mediatypes"}) {
    KILN_TRY_ASSIGN(const bool asked, text.take_bool(key, true));
    if (!asked) return text.wrong(std::string(key) + "=false: entries are OCI manifests");
  }
  return {};
}

Result<CacheTarget> target_of_export(CacheText& text) {
  CacheTarget target;
  const std::string type = text.take("type");
  if (type == "local") {
    target.place.kind = CacheKind::kDirectory;
    KILN_TRY_ASSIGN(target.place.where, text.need("dest", "DIRECTORY"));
    target.place.tag = text.take("tag", target.place.tag);
    KILN_TRY_ASSIGN(target.reset, text.take_bool("reset", false));
  } else if (type == "registry" || type == "kiln") {
    target.place.kind = type == "kiln" ? CacheKind::kKiln : CacheKind::kRegistry;
    KILN_TRY(take_reference(text, target.place));
  } else if (type == "inline") {
    return inline_target(text, target);
  } else {
    return text.missing_type(type, "local, registry, kiln, inline");
  }
  const std::string mode = text.take("mode", "min");
  if (mode != "min" && mode != "max")
    return text.wrong("mode=" + quote(mode) + ": expected min or max");
  target.mode = mode == "max" ? CacheMode::kMax : CacheMode::kMin;
  KILN_TRY_ASSIGN(target.compression, take_compression(text));
  KILN_TRY(take_form(text));
  KILN_TRY_ASSIGN(const bool ignore_error, text.take_bool("ignore-error", true));
  target.must_succeed = !ignore_error;
  KILN_TRY_ASSIGN(const bool wait, text.take_bool("wait", true));
  if (!wait && target.must_succeed)
    return text.wrong("wait=false and ignore-error=false exclude each other");
  using Wait = CacheExportOptions::Wait;
  target.wait = target.must_succeed ? Wait::kForever : wait ? Wait::kInReason : Wait::kNo;
  KILN_TRY(take_mounts(text, target.place));
  KILN_TRY(take_signing(text, target));
  KILN_TRY(text.refuse_rest());
  return target;
}

// "IMAGE,IMAGE" is one of each, as the first builders had it.
std::vector<std::string> each_of(std::span<const std::string> texts) {
  std::vector<std::string> each;
  for (const std::string& text : texts) {
    const auto fields = parse_csv(text);
    if (fields && fields->size() > 1 && text.find('=') == std::string::npos)
      each.insert(each.end(), fields->begin(), fields->end());
    else
      each.push_back(text);
  }
  return each;
}

}  // namespace

bool MountNames::contain(const std::string& id) const {
  return all || std::any_of(names.begin(), names.end(), [&](const std::string& name) {
           return id == name || id == "/" + name;
         });
}

Result<std::vector<CachePlace>> parse_cache_from(std::span<const std::string> texts) {
  std::vector<CachePlace> places;
  for (const std::string& text : each_of(texts)) {
    KILN_TRY_ASSIGN(CacheText parsed, CacheText::parse("--cache-from", text));
    KILN_TRY_ASSIGN(CachePlace place, place_of_import(parsed));
    places.push_back(std::move(place));
  }
  return places;
}

Result<std::vector<CacheTarget>> parse_cache_to(std::span<const std::string> texts) {
  std::vector<CacheTarget> targets;
  for (const std::string& text : each_of(texts)) {
    KILN_TRY_ASSIGN(CacheText parsed, CacheText::parse("--cache-to", text));
    KILN_TRY_ASSIGN(CacheTarget target, target_of_export(parsed));
    targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace kiln::cmd
