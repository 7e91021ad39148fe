// The names that kiln's cache protocol uses, for client and server (docs/serve.md, "Build cache").
// Requests are sent by POST to kRoot/lookup and kRoot/publish; the query says which cache is meant,
// so that rights are known before the body comes. Bodies and answers are JSON objects.
#pragma once

#include <cstddef>
#include <string_view>

namespace kiln::cache::protocol {

inline constexpr std::string_view kRoot = "/kiln/cache/v1";
// Of the query.
inline constexpr std::string_view kRepository = "repository";
inline constexpr std::string_view kTag = "tag";
// lookup: {"keys": [HEX…]} is answered by {"entries": {HEX: BASE64}, "more": [HEX…]}.
inline constexpr std::string_view kKeys = "keys";
inline constexpr std::string_view kEntries = "entries";
inline constexpr std::string_view kMore = "more";  // what did not fit: to be asked for again
// publish: {"entries": [{"key", "entry", "blobs": [DESCRIPTOR…]}]} is answered by {"kept": N}.
inline constexpr std::string_view kKey = "key";
inline constexpr std::string_view kEntry = "entry";
inline constexpr std::string_view kBlobs = "blobs";
inline constexpr std::string_view kKept = "kept";  // how many were there already

inline constexpr size_t kMaxKeys = 1000;         // of one lookup
inline constexpr size_t kMaxPublications = 100;  // of one request
inline constexpr size_t kMaxBodyBytes = 4U << 20U;
inline constexpr size_t kMaxAnswerBytes = 4U << 20U;  // of entries; one is always answered

}  // namespace kiln::cache::protocol
