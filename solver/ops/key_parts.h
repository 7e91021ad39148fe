// What the keys of several operations add alike (cache/key.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/strings.h"
#include "cache/key.h"

namespace kiln {

inline void add_list(KeyFields& key, std::string_view name,
                     const std::vector<std::string>& values) {
  for (const std::string& value : values) key.add(name, value);
}

/// The same for texts that people write: a record keeps its fields in clear (cache/FORMAT.md), so
/// credentials in a URL are left out of them, and a digest of the whole text tells them apart.
inline void add_texts(KeyFields& key, std::string_view name,
                      const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    const std::string shown = without_credentials(value);
    key.add(name, shown);
    if (shown != value) key.add(std::string(name) + "_digest", Digest::of(value).hex());
  }
}

/// Nothing if it is not set, so that a flag that comes later does not change old keys.
inline void add_flag(KeyFields& key, std::string_view name, bool set) {
  if (set) key.add(name, "true");
}

}  // namespace kiln
