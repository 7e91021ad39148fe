// An ordered set of variables, as an image's Env is: replacing keeps the place, adding appends. The
// converter keeps one for each stage; expand() looks names up in it.
#pragma once

#include "frontend/shell_lex.h"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kiln::dockerfile {

class Environment {
 public:
  using Item = std::pair<std::string, std::string>;

  Environment() = default;
  /// From "K=V" strings; an entry without "=" has an empty value. The last of equal keys wins, at
  /// the first one's place.
  static Environment from_strings(const std::vector<std::string>& items);

  void set(std::string_view key, std::string_view value);
  void erase(std::string_view key);  // O(n)
  std::optional<std::string_view> get(
      std::string_view key) const;  // the view lives until the next change
  const std::vector<Item>& items() const { return items_; }
  std::vector<std::string> to_strings() const;  // "K=V", in order
  /// Borrows this object.
  EnvLookup lookup() const;

 private:
  std::vector<Item> items_;
  std::unordered_map<std::string, size_t> index_;  // key -> place in items_
};

}  // namespace kiln::dockerfile
