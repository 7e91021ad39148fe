#include "frontend/run_mount.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/path.h"
#include "base/strings.h"
#include "frontend/go_value.h"

namespace kiln::dockerfile {
namespace {

using llb::CacheSharing;
using llb::MountType;

struct TypeName {
  std::string_view name;
  MountType type;
};
constexpr std::array kTypes = {
    TypeName{"bind", MountType::kBind}, TypeName{"cache", MountType::kCache},
    TypeName{"tmpfs", MountType::kTmpfs}, TypeName{"secret", MountType::kSecret},
    TypeName{"ssh", MountType::kSsh}};
struct SharingName {
  std::string_view name;
  CacheSharing sharing;
};
constexpr std::array kSharings = {SharingName{"shared", CacheSharing::kShared},
                                  SharingName{"private", CacheSharing::kPrivate},
                                  SharingName{"locked", CacheSharing::kLocked}};

const std::vector<std::string>& all_keys() {
  static const std::vector<std::string> kKeys = {
      "type",     "from", "source", "target",    "readonly",   "id",  "sharing",
      "required", "mode", "uid",    "gid",       "size",       "env", "src",
      "dst",      "ro",   "rw",     "readwrite", "destination"};
  return kKeys;
}

tl::unexpected<Error> mount_error(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

std::string type_name(MountType type) {
  const auto* it = std::find_if(kTypes.begin(), kTypes.end(),
                                [type](const TypeName& t) { return t.type == type; });
  return std::string(it->name);
}

struct Field {
  std::string text;                  // as written
  std::string key;                   // lower-case
  std::optional<std::string> value;  // nullopt: no "="
};

Result<std::vector<Field>> split_fields(std::string_view csv) {
  const auto texts = parse_csv(csv);
  if (!texts) return tl::unexpected(texts.error().wrap("failed to parse csv mounts"));
  std::vector<Field> fields;
  for (const std::string& text : *texts) {
    const size_t equals = text.find('=');
    Field field{text, to_lower(std::string_view(text).substr(0, equals)), std::nullopt};
    if (equals != std::string::npos) field.value = text.substr(equals + 1);
    fields.push_back(std::move(field));
  }
  return fields;
}

tl::unexpected<Error> unexpected_key(const Field& field) {
  Error error(Code::kInvalidArgument, "unexpected key '" + field.key + "' in '" + field.text + "'" +
                                          did_you_mean(field.key, all_keys()));
  return tl::unexpected(error.hint("keys of --mount: " + join(all_keys(), ", ")));
}

bool is_bare_key(std::string_view key) {
  return key == "ro" || key == "readonly" || key == "rw" || key == "readwrite" || key == "required";
}

// Sets one mount's fields in the order written: what a key may be depends on the type seen so far,
// as upstream has it.
class MountParser {
 public:
  explicit MountParser(const Expander& expand) : expand_(expand) {}

  Status apply(const Field& field) {
    if (!field.value) return apply_bare(field);
    std::string value = *field.value;
    if (field.key != "from") {
      KILN_TRY_ASSIGN(value, expand_(*field.value));
    }
    return apply_value(field, value);
  }

  Result<RunMount> finish() {
    const MountType type = mount_.type;
    const bool owned =
        type == MountType::kSecret || type == MountType::kSsh || type == MountType::kCache;
    if (!owned && mount_.mode) return not_allowed("mode");
    if (!owned && mount_.uid) return not_allowed("uid");
    if (!owned && mount_.gid) return not_allowed("gid");
    if (!read_only_given_) {
      mount_.read_only = type != MountType::kCache && type != MountType::kTmpfs;
    }
    if (type == MountType::kSecret) KILN_TRY(finish_secret());
    if (type == MountType::kSsh) KILN_TRY(finish_ssh());
    if (mount_.sharing_given && type != MountType::kCache) {
      return mount_error("invalid cache sharing set for " + type_name(type) + " mount");
    }
    if (mount_.env && type != MountType::kSecret) return not_allowed("env");
    return std::move(mount_);
  }

 private:
  tl::unexpected<Error> not_allowed(std::string_view what) const {
    return mount_error(std::string(what) + " not allowed for " + quote(type_name(mount_.type)) +
                       " type mounts");
  }
  tl::unexpected<Error> wrong_type(const Field& field) const {
    return mount_error("unexpected key '" + field.key + "' for mount type '" +
                       type_name(mount_.type) + "'");
  }
  bool may_be_required() const {
    return mount_.type == MountType::kSecret || mount_.type == MountType::kSsh;
  }
  void set_read_only(bool value) {
    mount_.read_only = value;
    read_only_given_ = true;
  }

  Status apply_bare(const Field& field) {
    if (field.key == "ro" || field.key == "readonly") {
      set_read_only(true);
    } else if (field.key == "rw" || field.key == "readwrite") {
      set_read_only(false);
    } else if (field.key == "required") {
      if (!may_be_required()) return wrong_type(field);
      mount_.required = true;
    } else {
      return mount_error("invalid field '" + field.text + "' must be a key=value pair");
    }
    return {};
  }

  Status apply_value(const Field& field, const std::string& value) {
    const std::string& key = field.key;
    if (key == "type") return set_type(value);
    if (key == "sharing") return set_sharing(value);
    if (key == "from") {
      mount_.from = value;
    } else if (key == "source" || key == "src") {
      mount_.source = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_.target = value;
    } else if (key == "id") {
      mount_.id = value;
    } else if (key == "env") {
      mount_.env = value;
    } else {
      return apply_typed(field, value);
    }
    return {};
  }

  // The keys whose values are not text.
  Status apply_typed(const Field& field, const std::string& value) {
    const std::string& key = field.key;
    if (is_bare_key(key)) {
      if (key == "required" && !may_be_required()) return wrong_type(field);
      const Result<bool> flag = parse_bool(value);
      if (!flag) return mount_error("invalid value for " + key + ": " + value);
      if (key == "required") {
        mount_.required = *flag;
      } else {
        const bool asks_read_only = key == "ro" || key == "readonly";
        set_read_only(asks_read_only == *flag);
      }
      return {};
    }
    if (key == "size") {
      if (mount_.type != MountType::kTmpfs) return wrong_type(field);
      const Result<uint64_t> size = parse_ram_bytes(value);
      if (!size) return mount_error("invalid value for size: " + value);
      mount_.size_bytes = *size;
      return {};
    }
    std::optional<uint32_t>* number = key == "mode"  ? &mount_.mode
                                      : key == "uid" ? &mount_.uid
                                      : key == "gid" ? &mount_.gid
                                                     : nullptr;
    if (number == nullptr) return unexpected_key(field);
    const Result<uint32_t> parsed = parse_uint32(value, key == "mode" ? 8 : 10);
    if (!parsed) return mount_error("invalid value " + value + " for " + key);
    *number = *parsed;
    return {};
  }

  Status set_type(const std::string& value) {
    const std::string name = to_lower(value);
    std::vector<std::string> names;
    for (const TypeName& known : kTypes) {
      if (known.name == name) {
        mount_.type = known.type;
        return {};
      }
      names.emplace_back(known.name);
    }
    return mount_error("unsupported mount type " + quote(value) + did_you_mean(value, names));
  }

  Status set_sharing(const std::string& value) {
    const std::string name = to_lower(value);
    std::vector<std::string> names;
    for (const SharingName& known : kSharings) {
      if (known.name == name) {
        mount_.sharing = known.sharing;
        mount_.sharing_given = true;
        return {};
      }
      names.emplace_back(known.name);
    }
    return mount_error("unsupported sharing value " + quote(value) + did_you_mean(value, names));
  }

  Status finish_secret() {
    if (!mount_.from.empty()) return mount_error("secret mount should not have a from");
    if (mount_.sharing_given) return mount_error("secret mount should not define sharing");
    if (mount_.source.empty() && mount_.target.empty() && mount_.id.empty()) {
      return mount_error("invalid secret mount. one of source, target required");
    }
    if (!mount_.source.empty() && !mount_.id.empty()) {
      return mount_error("both source and id can't be set");
    }
    if (mount_.id.empty()) {
      mount_.id = mount_.source.empty() ? base_name(mount_.target) : mount_.source;
    }
    mount_.source.clear();
    if (mount_.target.empty() && !mount_.env)
      mount_.target = "/run/secrets/" + base_name(mount_.id);
    return {};
  }

  Status finish_ssh() {
    if (!mount_.source.empty()) return mount_error("ssh mount should not have a source");
    if (mount_.id.empty()) mount_.id = "default";
    return {};
  }

  static std::string base_name(std::string_view path) {
    const std::string clean = clean_path(path);
    return clean.substr(clean.rfind('/') + 1);
  }

  const Expander& expand_;
  RunMount mount_;
  bool read_only_given_ = false;
};

}  // namespace

Status check_mount(std::string_view csv) {
  KILN_TRY_ASSIGN(const std::vector<Field> fields, split_fields(csv));
  for (const Field& field : fields) {
    const auto& keys = all_keys();
    const bool known = std::find(keys.begin(), keys.end(), field.key) != keys.end();
    if (!known && field.value) return unexpected_key(field);
    if (!field.value && !is_bare_key(field.key)) {
      return mount_error("invalid field '" + field.text + "' must be a key=value pair");
    }
    const size_t dollar = field.value ? field.value->find('$') : std::string::npos;
    if (field.key == "from" && dollar != std::string::npos && dollar + 1 < field.value->size()) {
      return tl::unexpected(
          Error(Code::kInvalidArgument,
                "'from' doesn't support variable expansion, define alias stage instead")
              .hint("add \"FROM <image with the variable> AS <name>\" and use from=<name>"));
    }
  }
  return {};
}

Result<RunMount> parse_mount(std::string_view csv, const Expander& expand) {
  KILN_TRY(check_mount(csv));
  KILN_TRY_ASSIGN(const std::vector<Field> fields, split_fields(csv));
  MountParser parser(expand);
  for (const Field& field : fields) KILN_TRY(parser.apply(field));
  return parser.finish();
}

}  // namespace kiln::dockerfile
