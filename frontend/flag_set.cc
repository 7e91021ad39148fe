#include "frontend/flag_set.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

tl::unexpected<Error> flag_error(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

tl::unexpected<Error> unknown_flag(const std::string& name, std::span<const FlagSpec> specs) {
  std::vector<std::string> names;
  for (const FlagSpec& spec : specs) names.emplace_back(spec.name);
  Error error(Code::kInvalidArgument, "unknown flag: --" + name + did_you_mean(name, names));
  if (names.empty()) return tl::unexpected(error.hint("this instruction takes no flags"));
  return tl::unexpected(error.hint("flags of this instruction: --" + join(names, ", --")));
}

Result<std::string> bool_value(const Flag& flag) {
  if (!flag.value) return std::string("true");
  if (flag.value->empty()) return flag_error("missing a value on flag: --" + flag.name);
  const std::string value = to_lower(*flag.value);
  if (value == "true" || value == "false") return value;
  return flag_error("expecting boolean value for flag --" + flag.name + ", not: " + *flag.value);
}

}  // namespace

Result<FlagSet> FlagSet::judge(const std::vector<Flag>& flags, std::span<const FlagSpec> specs) {
  FlagSet set;
  for (const Flag& flag : flags) {
    const auto spec = std::find_if(specs.begin(), specs.end(),
                                   [&](const FlagSpec& s) { return s.name == flag.name; });
    if (spec == specs.end()) return unknown_flag(flag.name, specs);
    std::vector<std::string>& values = set.values_[flag.name];
    if (!values.empty() && spec->kind != FlagKind::kList) {
      return flag_error("duplicate flag specified: --" + flag.name);
    }
    if (spec->kind == FlagKind::kBool) {
      KILN_TRY_ASSIGN(std::string value, bool_value(flag));
      values.push_back(std::move(value));
    } else if (flag.value) {
      values.push_back(*flag.value);
    } else {
      return flag_error("missing a value on flag: --" + flag.name);
    }
  }
  return set;
}

std::string FlagSet::text(std::string_view name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? std::string() : it->second.back();
}

std::vector<std::string> FlagSet::list(std::string_view name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

}  // namespace kiln::dockerfile
