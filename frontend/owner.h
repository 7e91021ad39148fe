// What --chown, --chmod and WORKDIR's user mean for a file action (DOCKERFILE.md C12, C13).
#pragma once

#include "base/result.h"
#include "llb/op.h"

#include <string>
#include <string_view>

namespace kiln::frontend {

/// "user[:group]", names or numbers. Names are looked up in the passwd and group files of input
/// `base`; "root" is 0. Without a group it is left to the file action (a name's primary group, a
/// number's equal group).
llb::Chown parse_owner(std::string_view text, int base);
/// True if one of them has to be looked up.
bool needs_lookup(const llb::Chown& owner);

struct ModeChange {
  int mode = -1;     // octal; -1: none
  std::string text;  // symbolic; "": none
};
/// kInvalidArgument: neither octal up to 07777 nor symbolic ("u=rwX,go=rX").
Result<ModeChange> parse_chmod(const std::string& text);

}  // namespace kiln::frontend
