// `--filter` of `kiln du` and `kiln prune`: KEY=VALUE (or ==), KEY!=VALUE, KEY~=REGEX.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cmd/store_items.h"

namespace kiln::cmd {

class ItemFilter {
 public:
  /// id, type, description, parents, inuse, shared, private, mutable, immutable, reclaimable, label
  /// (of images: NAME[=VALUE]), and until=DURATION|TIME (not used since). All must hold.
  /// kInvalidArgument with did-you-mean.
  static Result<ItemFilter> parse(const std::vector<std::string>& texts, StoreItem::Time now);
  bool empty() const { return terms_.empty(); }
  bool accepts(const StoreItem& item) const;

 private:
  enum class Operator : uint8_t { kEqual, kUnequal, kMatches };
  class Pattern;  // a compiled regular expression
  struct Term {
    std::string key, value;
    Operator op = Operator::kEqual;
    std::shared_ptr<const Pattern> pattern;  // kMatches
    StoreItem::Time until{};                 // "until"
  };
  static Result<Term> parse_term(const std::string& text, StoreItem::Time now);
  static bool holds(const Term& term, const StoreItem& item);
  std::vector<Term> terms_;
};

}  // namespace kiln::cmd
