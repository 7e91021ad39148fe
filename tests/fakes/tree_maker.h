// File trees for tests: made step by step, and told as text with all their metadata, one line an
// entry, so that two trees compare as strings and a difference can be read.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::fake {

/// Makes entries below a directory. Each throws std::runtime_error on failure. Paths are trusted.
class TreeMaker {
 public:
  explicit TreeMaker(std::string root) : root_(std::move(root)) {}

  const TreeMaker& dir(std::string_view path, mode_t mode = 0755) const;  // with parents
  const TreeMaker& file(std::string_view path, std::string_view content = "",
                        mode_t mode = 0644) const;
  const TreeMaker& symlink(std::string_view path, std::string_view target) const;
  const TreeMaker& hardlink(std::string_view path, std::string_view existing) const;
  const TreeMaker& node(std::string_view path, mode_t type_and_mode, dev_t device = 0) const;
  const TreeMaker& whiteout(std::string_view path) const { return node(path, 0020000); }
  const TreeMaker& xattr(std::string_view path, const char* name, std::string_view value) const;
  const TreeMaker& owner(std::string_view path, uid_t uid, gid_t gid) const;
  const TreeMaker& mtime(std::string_view path, int64_t seconds, long nanoseconds = 0) const;
  const TreeMaker& remove(std::string_view path) const;  // rm -rf
  /// The same mtime for everything, the root included.
  const TreeMaker& settle(int64_t seconds = 1'000'000'000) const;
  std::string path(std::string_view relative) const;

 private:
  std::string root_;
};

/// "<path> <type+mode> <uid>:<gid> <mtime> <what>" for each entry, sorted; `what` is a file's
/// content, a link's target, a device number. Names beyond printable ASCII are escaped, hardlinks
/// name the first path of their file, xattrs (user.* and security.capability) follow.
std::string tree_text(const std::string& root);

/// A security.capability value: cap_net_bind_service+ep.
std::string net_bind_capability();

}  // namespace kiln::fake
