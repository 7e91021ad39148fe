#include "frontend/global_args.h"

#include "base/strings.h"

#include <utility>
#include <vector>

namespace kiln::frontend {

dockerfile::Environment platform_args(const Platform& build, const Platform& target,
                                      const std::string& target_stage,
                                      const std::map<std::string, std::string>& build_args) {
  const std::vector<std::pair<std::string, std::string>> items = {
      {"BUILDPLATFORM", build.to_string()},
      {"BUILDOS", build.os},
      {"BUILDOSVERSION", ""},
      {"BUILDARCH", build.architecture},
      {"BUILDVARIANT", build.variant},
      {"TARGETPLATFORM", target.to_string()},
      {"TARGETOS", target.os},
      {"TARGETOSVERSION", ""},
      {"TARGETARCH", target.architecture},
      {"TARGETVARIANT", target.variant},
      {"TARGETSTAGE", target_stage.empty() ? "default" : target_stage}};
  dockerfile::Environment out;
  for (const auto& [key, value] : items) {
    const auto found = build_args.find(key);
    const std::string& wanted = found == build_args.end() ? value : found->second;
    if (!wanted.empty()) out.set(key, wanted);
  }
  return out;
}

bool is_predefined_arg(std::string_view key) {
  for (std::string_view proxy :
       {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"}) {
    if (equal_fold(key, proxy)) return true;
  }
  if (key.starts_with("BUILDKIT_") || key == "SOURCE_DATE_EPOCH" || key == "TARGETSTAGE")
    return true;
  for (std::string_view side : {"BUILD", "TARGET"}) {
    if (!key.starts_with(side)) continue;
    const std::string_view what = key.substr(side.size());
    if (what == "PLATFORM" || what == "OS" || what == "OSVERSION" || what == "ARCH" ||
        what == "VARIANT") {
      return true;
    }
  }
  return false;
}

}  // namespace kiln::frontend
