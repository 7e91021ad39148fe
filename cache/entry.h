// What shared caches keep under a key (cache/FORMAT.md, "Entries"): the result with its layers, or
// the key that a definition key stood for. An entry carries its key's record, so that whoever reads
// it can check that it belongs where it was found, and explain a miss.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cache/key.h"
#include "cache/store.h"

namespace kiln::cache {

struct ResultEntry {
  KeyRecord record;
  CacheResult result;  // without a local_ref
};
struct AliasEntry {
  KeyRecord fast;
  CacheKey target;
};
using Entry = std::variant<ResultEntry, AliasEntry>;

inline constexpr size_t kMaxEntryBytes = 1U << 20U;

/// Both leave local_ref out.
std::string encode_entry(const ResultEntry& entry);
std::string encode_entry(const AliasEntry& entry);
/// Also of a signed one (claim.h), whoever signed it. kDataLoss: torn, of an unknown version, of
/// another key than `key`, larger than allowed, or a result that is neither layers nor the empty
/// tree.
Result<Entry> decode_entry(const CacheKey& key, std::string_view bytes);

}  // namespace kiln::cache
