#include "solver/ops/mode_change.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr uint32_t kPermissions = 07777;

bool is_octal(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
}

uint32_t class_mask(char c) {
  if (c == 'u') return 0700;
  if (c == 'g') return 0070;
  if (c == 'o') return 0007;
  return c == 'a' ? 0777U : 0U;
}

/// rwx of one class, spread over all three.
uint32_t spread(uint32_t rwx) {
  return rwx << 6U | rwx << 3U | rwx;
}

uint32_t permissions_of(char c, uint32_t mode) {
  if (c == 'u') return mode >> 6U & 7U;
  if (c == 'g') return mode >> 3U & 7U;
  return mode & 7U;
}

/// setuid and setgid belong to user and group, sticky to others.
uint32_t special_mask(uint32_t who) {
  return ((who & 0700U) != 0 ? S_ISUID : 0U) | ((who & 0070U) != 0 ? S_ISGID : 0U) |
         ((who & 0007U) != 0 ? S_ISVTX : 0U);
}

}  // namespace

ModeChange ModeChange::octal(uint32_t mode) {
  ModeChange change;
  change.octal_ = mode & kPermissions;
  return change;
}

std::optional<ModeChange::Clause> ModeChange::parse_action(std::string_view& text, uint32_t who) {
  Clause clause;
  clause.who = who;
  clause.op = text.front();
  text.remove_prefix(1);
  while (!text.empty() && std::string_view("+-=").find(text.front()) == std::string_view::npos) {
    const char c = text.front();
    text.remove_prefix(1);
    switch (c) {
      case 'r':
        clause.bits |= 0444;
        break;
      case 'w':
        clause.bits |= 0222;
        break;
      case 'x':
        clause.bits |= 0111;
        break;
      case 'X':
        clause.execute_if = true;
        break;
      case 's':
        clause.special |= S_ISUID | S_ISGID;
        break;
      case 't':
        clause.special |= S_ISVTX;
        break;
      case 'u':
      case 'g':
      case 'o':
        clause.copy_from = c;
        break;
      default:
        return std::nullopt;
    }
  }
  return clause;
}

Result<ModeChange> ModeChange::parse(std::string_view text) {
  const std::string name(text);
  if (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    const bool fits = is_octal(text) && text.size() <= 12 && std::stoull(name, nullptr, 8) <= 07777;
    if (fits) return octal(static_cast<uint32_t>(std::stoul(name, nullptr, 8)));
    return fail(Code::kInvalidArgument, "invalid chmod parameter: '" + name +
                                            "'. it should be octal string and between 0 and 07777");
  }
  ModeChange change;
  for (const std::string& part : split(text, ',')) {
    std::string_view rest = part;
    uint32_t who = 0;
    while (!rest.empty() && class_mask(rest.front()) != 0) {
      who |= class_mask(rest.front());
      rest.remove_prefix(1);
    }
    if (who == 0) who = 0777;
    bool valid = !rest.empty();
    while (valid && !rest.empty()) {
      valid = std::string_view("+-=").find(rest.front()) != std::string_view::npos;
      if (!valid) break;
      const auto clause = parse_action(rest, who);
      valid = clause.has_value();
      if (valid) change.clauses_.push_back(*clause);
    }
    if (!valid) return fail(Code::kInvalidArgument, "invalid chmod parameter: '" + name + "'");
  }
  return change;
}

uint32_t ModeChange::apply_clause(const Clause& clause, uint32_t mode) {
  uint32_t bits = clause.bits;
  if (clause.copy_from != 0) bits |= spread(permissions_of(clause.copy_from, mode));
  if (clause.execute_if && (S_ISDIR(mode) || (mode & 0111U) != 0)) bits |= 0111;
  // For 't' the class does not matter when all were meant; "o+t" and "+t" set it, "u+t" does not.
  const uint32_t special = clause.special & special_mask(clause.who);
  bits = (bits & clause.who) | special;
  if (clause.op == '+') return mode | bits;
  if (clause.op == '-') return mode & ~bits;
  // As GNU chmod: "=" keeps a directory's setuid and setgid unless they are named.
  const uint32_t kept = S_ISDIR(mode) ? S_ISVTX : S_ISUID | S_ISGID | S_ISVTX;
  return (mode & ~(clause.who | (special_mask(clause.who) & kept))) | bits;
}

uint32_t ModeChange::apply(uint32_t mode) const {
  if (octal_) return (mode & ~kPermissions) | *octal_;
  for (const Clause& clause : clauses_) mode = apply_clause(clause, mode);
  return mode;
}

}  // namespace kiln
