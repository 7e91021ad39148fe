#include "solver/ops/device_grants.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"

namespace kiln {
namespace {

void append_new(std::vector<std::string>& to, const std::vector<std::string>& more) {
  for (const std::string& name : more)
    if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
}

/// A grant of what is not there grants nothing, and is no error.
Result<std::set<std::string>> granted_names(const CdiRegistry& registry,
                                            const DeviceGrants& grants) {
  std::set<std::string> out;
  for (const std::string& name : grants.names) {
    auto found = registry.find({name, true});
    if (!found) return tl::unexpected(found.error().wrap("--allow device=" + name));
    out.insert(found->begin(), found->end());
  }
  return out;
}

}  // namespace

Status DeviceGrants::add(std::string_view text) {
  if (text.empty()) {
    all = true;
    return {};
  }
  KILN_TRY_ASSIGN(const std::vector<std::string> fields, parse_csv(text));
  const std::string& name = fields.front();
  std::string alias;
  for (const std::string& field : std::span(fields).subspan(1)) {
    if (!field.starts_with("alias="))
      return fail(Code::kInvalidArgument, "unknown field " + quote(field));
    alias = field.substr(field.find('=') + 1);
  }
  if (Status valid = check_cdi_kind(name.substr(0, name.find('='))); !valid) return valid;
  if (alias.empty())
    names.push_back(name);
  else
    aliases[alias] = name;
  return {};
}

Result<std::vector<std::string>> granted_devices(const CdiRegistry& registry,
                                                 const DeviceGrants& grants,
                                                 std::span<const llb::CdiDevice> asked) {
  std::vector<std::string> out;
  KILN_TRY_ASSIGN(const std::set<std::string> granted, granted_names(registry, grants));
  std::vector<std::string> refused;
  for (const llb::CdiDevice& device : asked) {
    const auto alias = grants.aliases.find(device.name);
    const bool is_alias = alias != grants.aliases.end();
    KILN_TRY_ASSIGN(
        const std::vector<std::string> found,
        registry.find(is_alias ? llb::CdiDevice{alias->second, device.optional} : device));
    append_new(out, found);
    if (is_alias || grants.all) continue;
    for (const std::string& name : found)
      if (!granted.contains(name) && !registry.allows_itself(name)) append_new(refused, {name});
  }
  if (refused.empty()) return out;
  const bool is_one = refused.size() == 1;
  return tl::unexpected(
      Error(Code::kPermissionDenied, (is_one ? "the device " : "the devices ") +
                                         join(refused, ", ") + (is_one ? " is" : " are") +
                                         " requested by the build but not allowed")
          .hint("allow it with --allow device=" + refused.front() +
                ", or all with --allow device"));
}

}  // namespace kiln
