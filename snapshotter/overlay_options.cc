#include "snapshotter/overlay_options.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kiln::internal {
namespace {

constexpr std::array<std::string_view, 3> kPathOptions = {"lowerdir=", "upperdir=", "workdir="};

// Colons end a name in lowerdir= only, but the kernel unescapes all three alike.
std::string escape(std::string_view path) {
  std::string escaped;
  for (const char c : path) {
    if (c == '\\' || c == ':' || c == ',') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string unescape(std::string_view text) {
  std::string path;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    path += text[i];
  }
  return path;
}

std::string_view path_option(std::string_view option) {
  for (const std::string_view name : kPathOptions) {
    if (option.starts_with(name)) return name;
  }
  return {};
}

// The still escaped names of a path option, split at colons that are not escaped.
std::vector<std::string_view> split_names(std::string_view names) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == '\\') {
      ++i;
    } else if (names[i] == ':') {
      parts.push_back(names.substr(start, i - start));
      start = i + 1;
    }
  }
  parts.push_back(names.substr(start));
  return parts;
}

// Shortens `prefix` to the directories it shares with `name`; both end up with a slash at its end.
void narrow(std::string_view& prefix, std::string_view name) {
  const auto differ = std::mismatch(prefix.begin(), prefix.end(), name.begin(), name.end());
  const auto same = static_cast<size_t>(differ.first - prefix.begin());
  const size_t slash = prefix.substr(0, same).rfind('/');
  prefix = prefix.substr(0, slash == std::string_view::npos ? 0 : slash + 1);
}

std::string_view shared_prefix(const std::vector<std::string>& options) {
  std::string_view prefix;
  bool first = true;
  for (const std::string_view option : options) {
    const std::string_view key = path_option(option);
    if (key.empty()) continue;
    for (const std::string_view name : split_names(option.substr(key.size()))) {
      if (std::exchange(first, false)) prefix = name;
      narrow(prefix, name);
    }
  }
  return prefix;
}

}  // namespace

std::vector<std::string> overlay_options(const OverlayDirs& dirs) {
  std::string lower = "lowerdir=";
  for (auto dir = dirs.lowers.rbegin(); dir != dirs.lowers.rend(); ++dir) {
    if (dir != dirs.lowers.rbegin()) lower += ':';
    lower += escape(*dir);
  }
  std::vector<std::string> options = {std::move(lower)};
  if (dirs.upper.empty()) return options;
  options.push_back("upperdir=" + escape(dirs.upper));
  options.push_back("workdir=" + escape(dirs.work));
  return options;
}

RelativeOverlay make_relative(const std::vector<std::string>& options) {
  const std::string_view prefix = shared_prefix(options);
  RelativeOverlay relative;
  relative.directory = prefix.empty() ? "/" : unescape(prefix);
  for (const std::string_view option : options) {
    const std::string_view key = path_option(option);
    if (key.empty() || prefix.empty()) {
      relative.options.emplace_back(option);
      continue;
    }
    std::string shortened(key);
    for (const std::string_view name : split_names(option.substr(key.size()))) {
      if (shortened.size() > key.size()) shortened += ':';
      shortened += name.substr(prefix.size());
    }
    relative.options.push_back(std::move(shortened));
  }
  return relative;
}

}  // namespace kiln::internal
