// chmod's mode argument (DOCKERFILE.md C13): octal 0–07777, or symbolic clauses as POSIX chmod has
// them, the umask being no part of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kiln {

class ModeChange {
 public:
  /// Leaves modes as they are.
  ModeChange() = default;
  static ModeChange octal(uint32_t mode);
  /// kInvalidArgument: `invalid chmod parameter: '64a'. it should be octal string and between 0 and
  /// 07777` (what starts like a number), or `invalid chmod parameter: 'u~w'`.
  static Result<ModeChange> parse(std::string_view text);

  /// `mode`: type and permission bits; only the latter change.
  uint32_t apply(uint32_t mode) const;
  /// The octal mode, if it is one: it also applies to directories made for a destination.
  std::optional<uint32_t> octal() const { return octal_; }

 private:
  struct Clause {
    uint32_t who = 0;         // mask of rwx bits that may change: 0700, 0070, 0007 or-ed
    char op = '=';            // '+', '-', '='
    uint32_t bits = 0;        // rwx for all three classes, masked by `who`
    uint32_t special = 0;     // setuid, setgid, sticky
    bool execute_if = false;  // X
    char copy_from = 0;       // 'u', 'g', 'o': permissions to copy
  };
  static uint32_t apply_clause(const Clause& clause, uint32_t mode);
  static std::optional<Clause> parse_action(std::string_view& text, uint32_t who);
  std::optional<uint32_t> octal_;
  std::vector<Clause> clauses_;
};

}  // namespace kiln
