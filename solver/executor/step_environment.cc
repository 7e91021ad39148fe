#include "solver/executor/step_environment.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace kiln {
namespace {

bool names(const std::string& entry, std::string_view name) {
  return entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name);
}

bool has(const std::vector<std::string>& environment, std::string_view name) {
  return std::any_of(environment.begin(), environment.end(),
                     [&](const std::string& entry) { return names(entry, name); });
}

void add(std::vector<std::string>& environment, std::string_view name, std::string_view value) {
  if (!has(environment, name)) environment.push_back(std::string(name) + "=" + std::string(value));
}

}  // namespace

std::vector<std::string> step_environment(const llb::ExecMeta& meta,
                                          const std::vector<std::string>& extra,
                                          const std::string& home) {
  std::vector<std::string> out = meta.env;
  if (meta.proxy_env) {
    const llb::ProxyEnv& proxy = *meta.proxy_env;
    const std::array<std::pair<const char*, const std::string*>, 5> variables = {
        {{"HTTP_PROXY", &proxy.http_proxy},
         {"HTTPS_PROXY", &proxy.https_proxy},
         {"FTP_PROXY", &proxy.ftp_proxy},
         {"NO_PROXY", &proxy.no_proxy},
         {"ALL_PROXY", &proxy.all_proxy}}};
    for (const auto& [name, value] : variables) {
      if (value->empty()) continue;
      add(out, name, *value);
      add(out, to_lower(name), *value);
    }
  }
  for (const std::string& entry : extra) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    std::erase_if(out, [&](const std::string& old) { return names(old, name); });
    out.push_back(entry);
  }
  add(out, "HOME", home);
  return out;
}

}  // namespace kiln
