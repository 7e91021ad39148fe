// Which files of a tree are one file under several names, and which of these groups differ between
// two trees. A group is packed as a whole or not at all: half of it would tear the names apart.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "snapshotter/change_writer.h"

namespace kiln::internal {

using Inode = std::pair<dev_t, ino_t>;

class HardlinkGroups {
 public:
  struct Group {
    std::vector<RelPath> paths;  // in walking order
    struct stat st {};
  };

  /// Walks the tree. `root` nullptr: no groups.
  static Result<HardlinkGroups> find(const Root* root, std::stop_token stop);

  const std::map<Inode, Group>& groups() const { return groups_; }
  /// The first path of the file that `path` names.
  const RelPath& leader(const RelPath& path) const;

 private:
  Status walk(const Root& root, const RelPath& directory);

  std::map<Inode, Group> groups_;
  std::map<RelPath, Inode> members_;
  std::stop_token stop_;
};

/// True if the file at `path` (lstat `st` in the upper tree) is not what the lower tree has there.
using FileDiffers = std::function<Result<bool>(const RelPath& path, const struct stat& st)>;

/// The upper tree's groups that have a member which differs, or names that were not one file below.
Result<std::set<Inode>> changed_groups(const HardlinkGroups& lower, const HardlinkGroups& upper,
                                       const FileDiffers& differs);

}  // namespace kiln::internal
