#include "solver/executor/cdi_registry.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/fs.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr const char* kClassAnnotation = "org.mobyproject.buildkit.device.class";
constexpr const char* kAllowAnnotation = "org.mobyproject.buildkit.device.autoallow";
constexpr uint64_t kMaxSpecBytes = 1U << 20U;

std::optional<CdiSyntax> syntax_of(std::string_view name) {
  if (name.ends_with(".json")) return CdiSyntax::kJson;
  if (name.ends_with(".yaml")) return CdiSyntax::kYaml;
  return std::nullopt;
}

// O_NONBLOCK: a fifo must not stop the build.
Result<CdiSpec> read_spec(const std::string& path, CdiSyntax syntax) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return fail_errno("open", path);
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) return fail_errno("stat", path);
  if (!S_ISREG(st.st_mode)) return fail(Code::kInvalidArgument, path + ": not a regular file");
  KILN_TRY_ASSIGN(const std::string text, read_file(path, kMaxSpecBytes));
  auto spec = parse_cdi_spec(text, syntax);
  if (!spec) return tl::unexpected(spec.error().wrap(path));
  return spec;
}

void append(CdiEdits& to, const CdiEdits& from) {
  const auto add = [](auto& list, const auto& more) {
    list.insert(list.end(), more.begin(), more.end());
  };
  add(to.env, from.env);
  add(to.nodes, from.nodes);
  add(to.mounts, from.mounts);
  add(to.hooks, from.hooks);
  add(to.additional_gids, from.additional_gids);
  add(to.unsupported, from.unsupported);
}

// As Go's strconv.ParseBool.
bool is_true(const std::string& text) {
  static const std::set<std::string> kTrue = {"1", "t", "T", "true", "True", "TRUE"};
  return kTrue.contains(text);
}

}  // namespace

CdiRegistry CdiRegistry::read(std::span<const std::string> directories) {
  CdiRegistry registry;
  size_t number = 0;
  for (const std::string& directory : directories) registry.read_directory(directory, number++);
  return registry;
}

void CdiRegistry::read_directory(const std::string& directory, size_t number) {
  const Fd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened.valid()) {
    if (errno != ENOENT) problems_.push_back(Error::from_errno(errno, "open", directory));
    return;
  }
  const auto entries = list_dir(opened.get());
  if (!entries) {
    problems_.push_back(entries.error());
    return;
  }
  std::vector<std::string> names;
  for (const DirEntry& entry : *entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const auto syntax = syntax_of(name);
    if (!syntax) continue;
    auto spec = read_spec(std::string(directory).append("/").append(name), *syntax);
    if (spec)
      add(*std::move(spec), number);
    else
      problems_.push_back(spec.error());
  }
}

void CdiRegistry::add(CdiSpec spec, size_t directory) {
  const size_t index = specs_.size();
  for (size_t device = 0; device < spec.devices.size(); ++device) {
    const std::string name = spec.kind + "=" + spec.devices[device].name;
    const auto [at, is_new] = devices_.try_emplace(name, Place{directory, index, device, false});
    if (is_new) continue;
    const bool is_twice = at->second.directory == directory;
    at->second = Place{directory, index, device, is_twice};
  }
  specs_.push_back(std::move(spec));
}

CdiAnnotations CdiRegistry::annotations(const Place& place) const {
  const CdiSpec& spec = specs_[place.spec];
  CdiAnnotations out = spec.devices[place.device].annotations;  // these count first
  out.insert(spec.annotations.begin(), spec.annotations.end());
  return out;
}

std::vector<std::string> CdiRegistry::of_kind(std::string_view kind) const {
  const std::string start = std::string(kind) + "=";
  std::vector<std::string> out;
  for (auto at = devices_.lower_bound(start); at != devices_.end() && at->first.starts_with(start);
       ++at)
    out.push_back(at->first);
  return out;
}

std::vector<std::string> CdiRegistry::matches(std::string_view kind, std::string_view name) const {
  std::vector<std::string> out = of_kind(kind);
  if (name == "*") return out;
  if (name.empty()) {
    if (out.size() > 1) out.resize(1);
    return out;
  }
  const std::string full = std::string(kind) + "=" + std::string(name);
  if (devices_.contains(full)) return {full};
  std::erase_if(out, [&](const std::string& candidate) {
    const CdiAnnotations noted = annotations(devices_.at(candidate));
    const auto of_class = noted.find(kClassAnnotation);
    return of_class == noted.end() || of_class->second != name;
  });
  return out;
}

Error CdiRegistry::missing(const llb::CdiDevice& asked) const {
  Error error(Code::kNotFound, "required device " + quote(asked.name) + " is not registered");
  if (!problems_.empty())
    return error.hint("a CDI spec cannot be used: " + problems_.front().to_string());
  std::vector<std::string> names;
  for (const auto& [name, place] : devices_) names.push_back(name);
  const std::string closest = closest_match(asked.name, names);
  if (!closest.empty()) return error.hint("did you mean " + quote(closest) + "?");
  constexpr size_t kShown = 8;
  if (names.empty()) return error.hint("no CDI spec describes any device here; see --cdi-spec-dir");
  const bool all = names.size() <= kShown;
  if (!all) names.resize(kShown);
  return error.hint("registered are " + join(names, ", ") + (all ? "" : ", …"));
}

Result<std::vector<std::string>> CdiRegistry::find(const llb::CdiDevice& asked) const {
  const std::string_view name = asked.name;
  const size_t equals = name.find('=');
  const std::string_view kind = name.substr(0, equals);
  if (const Status valid = check_cdi_kind(kind); !valid)
    return tl::unexpected(valid.error().wrap("invalid device " + quote(name)));
  std::vector<std::string> found =
      matches(kind, equals == std::string_view::npos ? "" : name.substr(equals + 1));
  if (found.empty() && !asked.optional) return tl::unexpected(missing(asked));
  for (const std::string& device : found)
    if (devices_.at(device).is_twice)
      return fail(Code::kFailedPrecondition,
                  "two CDI specs of one directory describe " + quote(device));
  return found;
}

bool CdiRegistry::allows_itself(const std::string& full_name) const {
  const auto place = devices_.find(full_name);
  if (place == devices_.end()) return false;
  const CdiAnnotations noted = annotations(place->second);
  const auto value = noted.find(kAllowAnnotation);
  return value != noted.end() && is_true(value->second);
}

Result<CdiEdits> CdiRegistry::edits(std::span<const std::string> full_names) const {
  CdiEdits out;
  std::set<size_t> seen;
  for (const std::string& name : full_names) {
    const auto at = devices_.find(name);
    if (at == devices_.end()) return fail(Code::kInternal, "no device " + quote(name));
    const CdiSpec& spec = specs_[at->second.spec];
    if (seen.insert(at->second.spec).second) append(out, spec.edits);
    append(out, spec.devices[at->second.device].edits);
    if (!out.unsupported.empty())
      return fail(Code::kUnimplemented, "the device " + quote(name) + " needs " +
                                            quote(out.unsupported.front()) +
                                            ", which kiln does not support");
  }
  return out;
}

}  // namespace kiln
