// Cache keys as structured records (cache/FORMAT.md): versioned, tagged, length-prefixed fields
// whose SHA-256 is the key. The record is kept beside the key for as long as the entry lives, so
// that a miss can be explained by comparing records. Nothing else may enter: no time, host, user,
// absolute path, job count.
#pragma once

#include "base/digest.h"
#include "base/result.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln {

struct CacheKey {
  Digest digest;
  auto operator<=>(const CacheKey&) const = default;
};

/// The named parts of an operation that change its result, in a fixed order: {"kind","exec"},
/// {"arg","make"}, {"env","A=1"}. Names may repeat. Values are arbitrary bytes but never secrets.
struct KeyFields {
  std::vector<std::pair<std::string, std::string>> fields;
  void add(std::string_view name, std::string_view value) { fields.emplace_back(name, value); }
  Digest digest() const;
  bool operator==(const KeyFields&) const = default;
};

/// One input as it enters a key: by the input's own key (definition), or by the content of what was
/// selected from it.
struct InputKey {
  enum class Kind : uint8_t { kDefinition = 1, kContent = 2 };
  Kind kind = Kind::kDefinition;
  Digest digest;
  std::string selector;  // what was selected of the input, for people and (kDefinition) for the
                         // key; "" is all of it
  bool operator==(const InputKey&) const = default;
};

struct KeyRecord {
  KeyFields op;
  uint32_t output = 0;
  std::vector<InputKey> inputs;
  std::string name;      // the step's display name; for explaining, not part of the key
  CacheKey key() const;  // SHA-256 over "kiln.cache.v1" and the fields; known answers are tested
  /// With a checksum. decode: kDataLoss if torn, truncated or of an unknown version.
  std::string encode() const;
  static Result<KeyRecord> decode(std::string_view bytes);
  bool operator==(const KeyRecord&) const = default;
};

}  // namespace kiln
