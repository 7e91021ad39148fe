#include "cmd/item_filter.h"

#include <regex.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/strings.h"

namespace kiln::cmd {

class ItemFilter::Pattern {
 public:
  explicit Pattern(const std::string& text)
      : status_(::regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB)) {}
  ~Pattern() {
    if (status_ == 0) ::regfree(&compiled_);
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  Status status() const {
    if (status_ == 0) return {};
    std::array<char, 128> why{};
    (void)::regerror(status_, &compiled_, why.data(), why.size());  // its length is of no use
    return fail(Code::kInvalidArgument, why.data());
  }
  bool matches(const std::string& text) const {
    return ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t compiled_{};
  int status_;
};

namespace {

const std::vector<std::string> kItemKeys = {"id",        "type",        "description", "parents",
                                            "inuse",     "shared",      "private",     "mutable",
                                            "immutable", "reclaimable", "label",       "until"};

// nullopt: no yes-or-no key.
std::optional<bool> flag_of(const std::string& key, const StoreItem& item) {
  if (key == "inuse") return item.in_use;
  if (key == "shared") return item.shared;
  if (key == "private") return !item.shared;
  if (key == "mutable") return item.changes;
  if (key == "immutable") return !item.changes;
  if (key == "reclaimable") return item.reclaimable;
  return std::nullopt;
}

Result<StoreItem::Time> parse_until(const std::string& value, StoreItem::Time now) {
  if (const auto age = parse_duration(value)) return now - *age;
  if (const auto time = parse_rfc3339(value)) return *time;
  return fail(Code::kInvalidArgument, "--filter until=" + quote(value) +
                                          ": expected a duration (24h) or a time "
                                          "(2026-01-31T12:00:00Z)");
}

}  // namespace

Result<ItemFilter> ItemFilter::parse(const std::vector<std::string>& texts, StoreItem::Time now) {
  ItemFilter filter;
  for (const std::string& text : texts) {
    KILN_TRY_ASSIGN(Term term, parse_term(text, now));
    filter.terms_.push_back(std::move(term));
  }
  return filter;
}

Result<ItemFilter::Term> ItemFilter::parse_term(const std::string& text, StoreItem::Time now) {
  Term term;
  const size_t equals = text.find('=');
  term.key = text.substr(0, equals);
  if (equals != std::string::npos) term.value = text.substr(equals + 1);
  if (term.key.ends_with('!') || term.key.ends_with('~')) {
    term.op = term.key.back() == '!' ? Operator::kUnequal : Operator::kMatches;
    term.key.pop_back();
  } else if (term.value.starts_with('=')) {
    term.value.erase(0, 1);
  }
  if (std::find(kItemKeys.begin(), kItemKeys.end(), term.key) == kItemKeys.end())
    return fail(Code::kInvalidArgument,
                "--filter: unknown key " + quote(term.key) + did_you_mean(term.key, kItemKeys));
  const bool flag = flag_of(term.key, StoreItem{}).has_value();
  // As docker: the key alone means that it holds.
  if (flag && equals == std::string::npos)
    term.value = "true";
  else if (equals == std::string::npos || (term.value.empty() && term.key != "description"))
    return fail(Code::kInvalidArgument, "--filter " + quote(text) + " is not KEY=VALUE");
  if (flag && term.value != "true" && term.value != "false" && term.value != "1" &&
      term.value != "0")
    return fail(Code::kInvalidArgument, "--filter " + quote(text) + ": expected true or false");
  if (term.key == "until") {
    if (term.op != Operator::kEqual)
      return fail(Code::kInvalidArgument, "--filter " + quote(text) + ": until takes = only");
    KILN_TRY_ASSIGN(term.until, parse_until(term.value, now));
  }
  if (term.op == Operator::kMatches) {
    term.pattern = std::make_shared<Pattern>(term.value);
    if (const Status compiled = term.pattern->status(); !compiled)
      return tl::unexpected(compiled.error().wrap("--filter " + quote(text)));
  }
  return term;
}

bool ItemFilter::accepts(const StoreItem& item) const {
  return std::all_of(terms_.begin(), terms_.end(),
                     [&](const Term& term) { return holds(term, item); });
}

bool ItemFilter::holds(const Term& term, const StoreItem& item) {
  if (term.key == "until") return item.last_used <= term.until;
  if (const std::optional<bool> flag = flag_of(term.key, item)) {
    const bool wanted = term.value == "true" || term.value == "1";
    return (*flag == wanted) == (term.op != Operator::kUnequal);
  }
  if (term.key == "label") {
    if (item.type != "image") return false;
    const size_t equals = term.value.find('=');
    const Json* label = item.labels.find(term.value.substr(0, equals));
    const bool has = label != nullptr && (equals == std::string::npos ||
                                          label->as_string() == term.value.substr(equals + 1));
    return has == (term.op != Operator::kUnequal);
  }
  std::vector<std::string> values = item.parents;
  if (term.key != "parents")
    values = {term.key == "id" ? item.id : term.key == "type" ? item.type : item.description};
  const bool any = std::any_of(values.begin(), values.end(), [&](const std::string& value) {
    return term.pattern ? term.pattern->matches(value) : value == term.value;
  });
  return any == (term.op != Operator::kUnequal);
}

}  // namespace kiln::cmd
