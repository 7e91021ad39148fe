// The tree that a step's file actions lead to, before anything is written: a base tree and the
// changes over it. Actions are planned against it one after the other, each seeing what those
// before it did; then one of two backends makes it real (plan_apply.h, plan_pack.h).
//
// Invariants:
//  1. A node's parent is a directory, in the changes or in the base.
//  2. Below a directory that is fresh (made, or put where something else was) the base is not seen.
//  3. Nodes of one link group are regular files with equal sources: the first in walking order is
//     the file, the others are hard links to it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "solver/ops/tree_ref.h"

namespace kiln {

constexpr int kInlineSource = -1;

struct PlannedEntry {
  uint32_t mode = 0;  // with the type
  uint32_t uid = 0, gid = 0;
  timespec mtime{};
  uint64_t size = 0;            // regular files
  uint64_t special_device = 0;  // st_rdev of device nodes
  uint32_t link_group = 0;      // 0: none
  int source = kInlineSource;   // which of the plan's sources holds a file's bytes and all xattrs
  std::string text;  // file: path in the source, or the bytes if inline; symlink: its target
};

struct PlannedNode {
  enum class State : uint8_t {
    kUntouched,  // as in the base; here only for what is below it
    kPut,        // `entry` is there
    kRemoved,    // nothing is there any more
  };
  State state = State::kUntouched;
  bool fresh = false;  // kPut directories: see invariant 2
  PlannedEntry entry;
  std::map<std::string, std::unique_ptr<PlannedNode>, std::less<>> children;
};

/// One thread at a time, reading included.
class PlannedTree : public TreeNames {
 public:
  /// `base` is borrowed; nullptr: the empty tree.
  explicit PlannedTree(const TreeNames* base) : base_(base) {}

  Result<std::optional<struct stat>> stat(const RelPath& path) const override;
  Result<std::vector<Entry>> list(const RelPath& directory) const override;
  Result<std::string> read_link(const RelPath& path) const override;

  /// Puts `entry` at `path`, whose parent must be a directory and resolved. A directory put on a
  /// directory keeps what is in it. What else is there is replaced: whether it may be is the
  /// caller's business.
  Status put(const RelPath& path, PlannedEntry entry);
  /// With all that is below. Absent is fine.
  Status remove(const RelPath& path);
  uint32_t new_link_group() { return ++link_groups_; }

  /// nullptr: the empty tree.
  const TreeNames* base() const { return base_; }
  const PlannedNode& changes() const { return top_; }
  /// True if something of the base must go by a whiteout: a removal, or a directory where a
  /// directory of the base was replaced.
  bool hides_base() const { return hides_base_; }

 private:
  struct Lookup {
    const PlannedNode* node = nullptr;  // nullptr: no change there
    bool base_visible = true;
  };
  Lookup find(const RelPath& path) const;
  Lookup find_directory(const RelPath& path) const;
  static void descend(Lookup& at, std::string_view name);
  Result<PlannedNode*> make_parent(const RelPath& path);
  Result<PlannedNode*> make_node(const RelPath& path);
  Result<bool> base_has(const RelPath& path) const;

  const TreeNames* base_;
  PlannedNode top_;
  // The directory of the last lookup: copies put one file of a directory after the other. put() and
  // remove() look up what they change first, so it is never below what they take away.
  mutable std::string last_path_;
  mutable std::optional<Lookup> last_;
  uint32_t link_groups_ = 0;
  bool hides_base_ = false;
};

}  // namespace kiln
