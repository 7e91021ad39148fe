// The names that kiln's cache protocol uses, for client and server (docs/serve.md, "Build cache").
// Requests and answers are JSON objects, sent by POST to kRoot/lookup and kRoot/publish.
#pragma once

#include <cstddef>
#include <string_view>

namespace kiln::cache::protocol {

inline constexpr std::string_view kRoot = "/kiln/cache/v1";
inline constexpr std::string_view kRepository = "repository";
inline constexpr std::string_view kTag = "tag";
inline constexpr std::string_view kKeys = "keys";  // of lookup: keys in hex
inline constexpr std::string_view kEntries =
    "entries";                                   // answer: {key: base64}; publish: a list of
inline constexpr std::string_view kKey = "key";  // … these
inline constexpr std::string_view kEntry = "entry";
inline constexpr std::string_view kBlobs = "blobs";  // descriptors
inline constexpr std::string_view kKept = "kept";    // answer to publish: how many were there
inline constexpr size_t kMaxKeys = 1000;             // of one lookup
inline constexpr size_t kMaxPublications = 100;      // of one request

}  // namespace kiln::cache::protocol
