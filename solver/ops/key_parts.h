// What the keys of several operations add alike (cache/key.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cache/key.h"

namespace kiln {

inline void add_list(KeyFields& key, std::string_view name,
                     const std::vector<std::string>& values) {
  for (const std::string& value : values) key.add(name, value);
}

/// Nothing if it is not set, so that a flag that comes later does not change old keys.
inline void add_flag(KeyFields& key, std::string_view name, bool set) {
  if (set) key.add(name, "true");
}

}  // namespace kiln
