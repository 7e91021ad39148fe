#include "cache/server/route.h"

#include <array>

namespace kiln::server {
namespace {

// "a/b/c" without its last component, which goes to `last`; nullopt: it has one component.
std::optional<std::string_view> cut_last(std::string_view path, std::string_view& last) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  last = path.substr(slash + 1);
  return path.substr(0, slash);
}

struct Named {
  std::string_view folder;
  Route::Kind kind;
};
constexpr std::array kFolders = {
    Named{"/blobs/uploads", Route::Kind::kUpload}, Named{"/blobs", Route::Kind::kBlob},
    Named{"/manifests", Route::Kind::kManifest}, Named{"/referrers", Route::Kind::kReferrers}};

}  // namespace

std::optional<Route> parse_route(std::string_view path) {
  constexpr std::string_view kPrefix = "/v2/";
  constexpr std::string_view kUploads = "/blobs/uploads", kTags = "/tags/list";
  if (path == "/v2" || path == kPrefix) return Route{};
  if (!path.starts_with(kPrefix)) return std::nullopt;
  path.remove_prefix(kPrefix.size());
  if (path == "_catalog") return Route{Route::Kind::kCatalog, "", ""};
  if (path.ends_with(kTags))
    return Route{Route::Kind::kTags, std::string(path.substr(0, path.size() - kTags.size())), ""};
  if (path.ends_with(kUploads))
    return Route{Route::Kind::kUploads, std::string(path.substr(0, path.size() - kUploads.size())),
                 ""};
  std::string_view last;
  const auto folder = cut_last(path, last);
  if (!folder) return std::nullopt;
  for (const Named& named : kFolders) {
    if (!folder->ends_with(named.folder)) continue;
    const auto kind =
        named.kind == Route::Kind::kUpload && last.empty() ? Route::Kind::kUploads : named.kind;
    return Route{kind, std::string(folder->substr(0, folder->size() - named.folder.size())),
                 std::string(last)};
  }
  return std::nullopt;
}

}  // namespace kiln::server
