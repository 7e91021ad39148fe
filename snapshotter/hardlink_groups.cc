#include "snapshotter/hardlink_groups.h"

namespace kiln::internal {

Result<HardlinkGroups> HardlinkGroups::find(const Root* root, std::stop_token stop) {
  HardlinkGroups found;
  found.stop_ = std::move(stop);
  if (root != nullptr) KILN_TRY(found.walk(*root, RelPath()));
  return found;
}

Status HardlinkGroups::walk(const Root& root, const RelPath& directory) {
  if (stop_.stop_requested()) return fail(Code::kCancelled, "packing was cancelled");
  KILN_TRY_ASSIGN(const auto children, read_children(root, directory));
  for (const Child& child : children) {
    const RelPath path = directory.child(child.name);
    if (S_ISDIR(child.st.st_mode)) {
      KILN_TRY(walk(root, path));
    } else if (child.st.st_nlink > 1) {
      const Inode inode(child.st.st_dev, child.st.st_ino);
      Group& group = groups_[inode];
      group.st = child.st;
      group.paths.push_back(path);
      members_.emplace(path, inode);
    }
  }
  return {};
}

const RelPath& HardlinkGroups::leader(const RelPath& path) const {
  const auto found = members_.find(path);
  return found == members_.end() ? path : groups_.at(found->second).paths.front();
}

Result<std::set<Inode>> changed_groups(const HardlinkGroups& lower, const HardlinkGroups& upper,
                                       const FileDiffers& differs) {
  std::set<Inode> changed;
  for (const auto& [inode, group] : upper.groups()) {
    const RelPath& leader = group.paths.front();
    bool apart = false;
    for (const RelPath& path : group.paths) apart = apart || lower.leader(path) != leader;
    // If all of them were one file below, one comparison is enough.
    bool differ = apart;
    if (!apart) {
      KILN_TRY_ASSIGN(differ, differs(leader, group.st));
    }
    if (differ) changed.insert(inode);
  }
  return changed;
}

}  // namespace kiln::internal
