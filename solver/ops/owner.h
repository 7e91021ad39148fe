// Who the files of a step belong to (DOCKERFILE.md C12).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "llb/op.h"
#include "solver/ops/tree_ref.h"

namespace kiln {

struct Owner {
  uint32_t uid = 0, gid = 0;
};

/// The tree that input `index` of the file op stands for (an input of the vertex, or what an
/// earlier action made).
using TreeOfInput = std::function<Result<const TreeView*>(int index)>;

/// The owner that an action gives to what it makes; null if its kind makes nothing.
const std::optional<llb::Chown>* owner_of(const llb::FileAction& action);

/// A user by name has their primary group, one by number the group of that number, unless a group
/// is given. Names are looked up in /etc/passwd and /etc/group of the tree, "root" is 0 anyway.
/// kInvalidArgument with the closest name: there is no such user or group. Upstream takes 0 then,
/// which gives root's files to whoever mistyped.
Result<std::optional<Owner>> resolve_owner(const std::optional<llb::Chown>& chown,
                                           const TreeOfInput& tree);

/// The names that must be looked up, by input; none if everything is numeric or root.
std::vector<int> inputs_of_owner(const std::optional<llb::Chown>& chown);

/// The bytes of /etc/passwd or /etc/group ("passwd", "group") read inside the tree; "" if there is
/// none or it is no regular file. At most 10 MiB (SAFETY.md 1.3).
Result<std::string> read_accounts(const TreeView& tree, std::string_view file);

}  // namespace kiln
