// The paths of the distribution specification ("Endpoints"), taken apart. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln::server {

struct Route {
  enum class Kind : uint8_t {
    kPing,
    kCatalog,
    kTags,
    kBlob,      // rest: a digest, unchecked
    kUploads,   // where uploads begin
    kUpload,    // rest: an id, unchecked
    kManifest,  // rest: a tag or digest, unchecked
    kReferrers  // rest: a digest, unchecked
  } kind = Kind::kPing;
  std::string repository;  // unchecked
  std::string rest;
};
/// nullopt: none of them.
std::optional<Route> parse_route(std::string_view path);

}  // namespace kiln::server
