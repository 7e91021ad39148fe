#include "solver/executor/cdi_spec.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/path.h"
#include "base/strings.h"
#include "base/yaml.h"

namespace kiln {
namespace {

constexpr Json::Limits kCdiLimits = {1U << 20U, 32};
constexpr uint64_t kMostId = UINT32_MAX - 1;  // the last one means "none" to the kernel
constexpr uint64_t kMostMajor = 0xfff, kMostMinor = 0xfffff, kMostMode = 07777;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Letters, digits and some of `inner`; letters or digits at both ends.
bool is_name(std::string_view text, std::string_view inner) {
  return !text.empty() && is_letter_or_digit(text.front()) && is_letter_or_digit(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter_or_digit(c) || inner.find(c) != std::string_view::npos;
         });
}

// An object with the path of its members for errors; each member must be asked for.
class CdiObject {
 public:
  CdiObject(const Json& json, std::string path) : json_(json), path_(std::move(path)) {}

  /// "<path>: <what>".
  tl::unexpected<Error> wrong(std::string_view member, const std::string& what) const {
    const std::string where = place(member);
    return fail(Code::kInvalidArgument, where.empty() ? "it " + what : where + ": " + what);
  }
  std::string place(std::string_view member) const {
    if (path_.empty()) return std::string(member);
    return member.empty() ? path_ : path_ + "." + std::string(member);
  }

  Status check_members(std::span<const std::string> known) const {
    if (!json_.is_object()) return wrong("", "must be an object");
    for (const Json::Member& member : json_.members())
      if (std::find(known.begin(), known.end(), member.first) == known.end())
        return wrong(member.first, "unknown" + did_you_mean(member.first, known));
    return {};
  }

  /// Absent and null are "".
  Result<std::string> text(std::string_view member) const { return text_of(json_[member], member); }
  Result<std::string> absolute_path(std::string_view member) const {
    KILN_TRY_ASSIGN(std::string path, text(member));
    if (!path.starts_with('/')) return wrong(member, quote(path) + " is not an absolute path");
    return path;
  }
  Result<std::optional<uint32_t>> number(std::string_view member, uint64_t most) const {
    const Json& value = json_[member];
    if (value.is_null()) return std::optional<uint32_t>();
    KILN_TRY_ASSIGN(const uint32_t number, number_of(value, member, most));
    return std::optional(number);
  }
  Result<std::vector<std::string>> texts(std::string_view member) const {
    std::vector<std::string> out;
    KILN_TRY(each(member, [&](const Json& value, const std::string& name) -> Status {
      KILN_TRY_ASSIGN(std::string text, text_of(value, name));
      out.push_back(std::move(text));
      return {};
    }));
    return out;
  }
  Result<std::vector<uint32_t>> numbers(std::string_view member, uint64_t most) const {
    std::vector<uint32_t> out;
    KILN_TRY(each(member, [&](const Json& value, const std::string& name) -> Status {
      KILN_TRY_ASSIGN(const uint32_t number, number_of(value, name, most));
      out.push_back(number);
      return {};
    }));
    return out;
  }
  template <class T>
  Result<std::vector<T>> objects(std::string_view member,
                                 Result<T> (*read)(const CdiObject&)) const {
    std::vector<T> out;
    KILN_TRY(each(member, [&](const Json& value, const std::string& name) -> Status {
      KILN_TRY_ASSIGN(T element, read(CdiObject(value, place(name))));
      out.push_back(std::move(element));
      return {};
    }));
    return out;
  }
  Result<CdiAnnotations> annotations() const {
    const Json& value = json_["annotations"];
    CdiAnnotations out;
    if (value.is_null()) return out;
    if (!value.is_object()) return wrong("annotations", "must be an object");
    for (const Json::Member& member : value.members()) {
      KILN_TRY_ASSIGN(std::string text, text_of(member.second, "annotations." + member.first));
      out.emplace(member.first, std::move(text));
    }
    return out;
  }
  CdiObject member(std::string_view name) const { return {json_[name], place(name)}; }
  bool has(std::string_view member) const { return !json_[member].is_null(); }

 private:
  // YAML has no quotes where people do not think of a type: `name: 0`, `autoallow: true`.
  Result<std::string> text_of(const Json& value, std::string_view member) const {
    if (value.is_null()) return std::string();
    std::string text = value.is_string() ? value.as_string() : value.dump();
    if (!value.is_string() && !value.is_bool() && !value.is_number())
      return wrong(member, "must be a string");
    if (text.find('\0') != std::string::npos) return wrong(member, "holds a zero byte");
    return text;
  }
  Result<uint32_t> number_of(const Json& value, std::string_view member, uint64_t most) const {
    if (!value.is_number() || value.number_kind() == Json::NumberKind::kDouble)
      return wrong(member, "must be a whole number");
    const bool is_negative = value.number_kind() == Json::NumberKind::kSigned && value.as_int() < 0;
    if (is_negative || value.as_uint() > most)
      return wrong(member, value.dump() + " is not between 0 and " + std::to_string(most));
    return static_cast<uint32_t>(value.as_uint());
  }
  Status each(std::string_view member,
              const std::function<Status(const Json&, const std::string&)>& take) const {
    const Json& value = json_[member];
    if (value.is_null()) return {};
    if (!value.is_array()) return wrong(member, "must be an array");
    size_t index = 0;
    for (const Json& element : value.elements())
      KILN_TRY(take(element, std::string(member) + "[" + std::to_string(index++) + "]"));
    return {};
  }

  const Json& json_;
  const std::string path_;
};

bool is_clean(std::string_view path) {
  return path.starts_with('/') && clean_path(path) == path;
}

Result<CdiDeviceNode> read_node(const CdiObject& in) {
  static const std::vector<std::string> kMembers = {
      "path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"};
  KILN_TRY(in.check_members(kMembers));
  CdiDeviceNode node;
  KILN_TRY_ASSIGN(node.path, in.absolute_path("path"));
  if (!is_clean(node.path)) return in.wrong("path", quote(node.path) + " is not a clean path");
  if (in.has("hostPath")) {
    KILN_TRY_ASSIGN(node.host_path, in.absolute_path("hostPath"));
  }
  KILN_TRY_ASSIGN(node.type, in.text("type"));
  static const std::set<std::string> kTypes = {"", "b", "c", "u", "p"};
  if (!kTypes.contains(node.type))
    return in.wrong("type", quote(node.type) + " is not one of b, c, u, p");
  KILN_TRY_ASSIGN(node.major, in.number("major", kMostMajor));
  KILN_TRY_ASSIGN(node.minor, in.number("minor", kMostMinor));
  KILN_TRY_ASSIGN(node.file_mode, in.number("fileMode", UINT16_MAX));
  if (node.file_mode) *node.file_mode &= kMostMode;  // some write the type of the file as well
  KILN_TRY_ASSIGN(node.uid, in.number("uid", kMostId));
  KILN_TRY_ASSIGN(node.gid, in.number("gid", kMostId));
  KILN_TRY_ASSIGN(node.permissions, in.text("permissions"));
  if (node.permissions != "none" && node.permissions.find_first_not_of("rwm") != std::string::npos)
    return in.wrong("permissions", quote(node.permissions) + " is not made of r, w and m");
  return node;
}

Result<CdiMount> read_mount(const CdiObject& in) {
  static const std::vector<std::string> kMembers = {"hostPath", "containerPath", "options", "type"};
  KILN_TRY(in.check_members(kMembers));
  CdiMount mount;
  KILN_TRY_ASSIGN(mount.host_path, in.absolute_path("hostPath"));
  KILN_TRY_ASSIGN(mount.container_path, in.absolute_path("containerPath"));
  KILN_TRY_ASSIGN(mount.type, in.text("type"));
  if (!mount.type.empty() && mount.type != "bind" && mount.type != "none")
    return in.wrong("type", quote(mount.type) + " is not supported: only bind mounts are");
  KILN_TRY_ASSIGN(mount.options, in.texts("options"));
  // No propagation back to the machine, nothing that a runtime reads as data of a file system.
  static const std::vector<std::string> kOptions = {
      "bind",     "rbind",    "ro",    "rw",         "suid",       "nosuid",
      "dev",      "nodev",    "exec",  "noexec",     "atime",      "noatime",
      "relatime", "sync",     "async", "norelatime", "diratime",   "nodiratime",
      "private",  "rprivate", "slave", "rslave",     "strictatime"};
  for (const std::string& option : mount.options)
    if (std::find(kOptions.begin(), kOptions.end(), option) == kOptions.end())
      return in.wrong("options", "the option " + quote(option) + " is not supported");
  return mount;
}

Status check_env(const CdiObject& in, const std::vector<std::string>& env) {
  for (const std::string& entry : env)
    if (entry.find('=') == std::string::npos || entry.starts_with('='))
      return in.wrong("env", quote(entry) + " is not of the form NAME=VALUE");
  return {};
}

Result<CdiHook> read_hook(const CdiObject& in) {
  static const std::vector<std::string> kMembers = {"hookName", "path", "args", "env", "timeout"};
  static const std::vector<std::string> kNames = {
      "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  KILN_TRY(in.check_members(kMembers));
  CdiHook hook;
  KILN_TRY_ASSIGN(hook.name, in.text("hookName"));
  if (std::find(kNames.begin(), kNames.end(), hook.name) == kNames.end())
    return in.wrong("hookName", quote(hook.name) + " is no hook" + did_you_mean(hook.name, kNames));
  KILN_TRY_ASSIGN(hook.path, in.absolute_path("path"));
  KILN_TRY_ASSIGN(hook.args, in.texts("args"));
  KILN_TRY_ASSIGN(hook.env, in.texts("env"));
  KILN_TRY(check_env(in, hook.env));
  KILN_TRY_ASSIGN(hook.timeout_seconds, in.number("timeout", INT32_MAX));
  if (hook.timeout_seconds && *hook.timeout_seconds == 0)
    return in.wrong("timeout", "must be more than 0");
  return hook;
}

Result<CdiEdits> read_edits(const CdiObject& in) {
  static const std::vector<std::string> kUnsupported = {"intelRdt", "netDevices"};
  static const std::vector<std::string> kMembers = {
      "env", "deviceNodes", "mounts", "hooks", "additionalGids", "intelRdt", "netDevices"};
  CdiEdits edits;
  KILN_TRY(in.check_members(kMembers));
  KILN_TRY_ASSIGN(edits.env, in.texts("env"));
  KILN_TRY(check_env(in, edits.env));
  KILN_TRY_ASSIGN(edits.nodes, in.objects("deviceNodes", read_node));
  KILN_TRY_ASSIGN(edits.mounts, in.objects("mounts", read_mount));
  KILN_TRY_ASSIGN(edits.hooks, in.objects("hooks", read_hook));
  KILN_TRY_ASSIGN(edits.additional_gids, in.numbers("additionalGids", kMostId));
  for (const std::string& member : kUnsupported)
    if (in.has(member)) edits.unsupported.push_back(member);
  return edits;
}

Result<CdiEdits> edits_of(const CdiObject& in) {
  if (!in.has("containerEdits")) return CdiEdits();
  return read_edits(in.member("containerEdits"));
}

Result<CdiDevice> read_device(const CdiObject& in) {
  static const std::vector<std::string> kMembers = {"name", "annotations", "containerEdits"};
  KILN_TRY(in.check_members(kMembers));
  CdiDevice device;
  KILN_TRY_ASSIGN(device.name, in.text("name"));
  if (!is_name(device.name, "-_.:")) return in.wrong("name", quote(device.name) + " is no name");
  KILN_TRY_ASSIGN(device.annotations, in.annotations());
  KILN_TRY_ASSIGN(device.edits, edits_of(in));
  return device;
}

Status check_version(const CdiObject& in) {
  KILN_TRY_ASSIGN(std::string version, in.text("cdiVersion"));
  if (version.starts_with('v')) version.erase(0, 1);
  if (version.starts_with("0.") || version.starts_with("1.")) return {};
  return in.wrong("cdiVersion", quote(version) + " is not a version of CDI that kiln knows");
}

}  // namespace

Status check_cdi_kind(std::string_view kind) {
  const size_t slash = kind.find('/');
  if (slash == std::string_view::npos)
    return fail(Code::kInvalidArgument, quote(kind) + " is not of the form vendor/class");
  if (!is_name(kind.substr(0, slash), "-_."))
    return fail(Code::kInvalidArgument, quote(kind) + " has no valid vendor");
  if (!is_name(kind.substr(slash + 1), "-_."))
    return fail(Code::kInvalidArgument, quote(kind) + " has no valid class");
  return {};
}

Result<CdiSpec> parse_cdi_spec(std::string_view text, CdiSyntax syntax) {
  static const std::vector<std::string> kMembers = {"cdiVersion", "kind", "annotations", "devices",
                                                    "containerEdits"};
  KILN_TRY_ASSIGN(const Json json, syntax == CdiSyntax::kYaml ? parse_yaml(text, kCdiLimits)
                                                              : Json::parse(text, kCdiLimits));
  const CdiObject in(json, "");
  KILN_TRY(in.check_members(kMembers));
  KILN_TRY(check_version(in));
  CdiSpec spec;
  KILN_TRY_ASSIGN(spec.kind, in.text("kind"));
  if (const Status valid = check_cdi_kind(spec.kind); !valid)
    return in.wrong("kind", valid.error().message());
  KILN_TRY_ASSIGN(spec.annotations, in.annotations());
  KILN_TRY_ASSIGN(spec.edits, edits_of(in));
  KILN_TRY_ASSIGN(spec.devices, in.objects("devices", read_device));
  if (spec.devices.empty()) return in.wrong("devices", "must not be empty");
  std::set<std::string> names;
  for (const CdiDevice& device : spec.devices)
    if (!names.insert(device.name).second)
      return in.wrong("devices", "the device " + quote(device.name) + " is there twice");
  return spec;
}

}  // namespace kiln
