#include "frontend/owner.h"

#include "base/strings.h"
#include "frontend/go_value.h"

#include <cctype>
#include <vector>

namespace kiln::frontend {
namespace {

llb::UserRef parse_who(std::string_view text, int base) {
  llb::UserRef who;
  if (text.empty() || text == "root") {
    who.id = 0;
    return who;
  }
  if (const Result<uint32_t> id = dockerfile::parse_uint32(text, 10)) {
    who.id = *id;
    return who;
  }
  who.name = text;
  who.input = base;
  return who;
}

/// One clause of chmod(1): who, then operators with what to set.
bool is_symbolic_clause(std::string_view clause) {
  size_t i = clause.find_first_not_of("ugoa");
  if (i == std::string_view::npos) return false;
  while (i < clause.size()) {
    if (clause[i] != '+' && clause[i] != '-' && clause[i] != '=') return false;
    const size_t start = ++i;
    while (i < clause.size() &&
           std::string_view("rwxXst").find(clause[i]) != std::string_view::npos)
      ++i;
    const bool copies = i == start && i < clause.size() &&
                        std::string_view("ugo").find(clause[i]) != std::string_view::npos;
    if (copies) ++i;
  }
  return true;
}

bool is_symbolic(const std::string& text) {
  for (const std::string& clause : split(text, ',')) {
    if (!is_symbolic_clause(clause)) return false;
  }
  return true;
}

}  // namespace

llb::Chown parse_owner(std::string_view text, int base) {
  const size_t colon = text.find(':');
  llb::Chown owner;
  owner.user = parse_who(text.substr(0, colon), base);
  if (colon != std::string_view::npos) owner.group = parse_who(text.substr(colon + 1), base);
  return owner;
}

bool needs_lookup(const llb::Chown& owner) {
  return (owner.user && !owner.user->id) || (owner.group && !owner.group->id);
}

Result<ModeChange> parse_chmod(const std::string& text) {
  if (text.empty()) return ModeChange{};
  const Result<uint32_t> octal = dockerfile::parse_uint32(text, 8);
  if (octal && *octal <= 07777) return ModeChange{static_cast<int>(*octal), ""};
  const bool numeric = std::isdigit(static_cast<unsigned char>(text.front())) != 0;
  if (!numeric && is_symbolic(text)) return ModeChange{-1, text};
  if (numeric) {
    return fail(Code::kInvalidArgument, "invalid chmod parameter: '" + text +
                                            "'. it should be octal string and between 0 and 07777");
  }
  return tl::unexpected(Error(Code::kInvalidArgument, "invalid chmod parameter: '" + text + "'")
                            .hint("use an octal mode such as 0755 or clauses such as u=rwX,go=rX"));
}

}  // namespace kiln::frontend
