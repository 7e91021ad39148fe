// Creates the entries of an archive below a root, one at a time and in the archive's order: parents
// resolved inside the root, what is in the way replaced, directories' modes and times last. The
// grammar of layers (whiteout names) is layer_apply's business.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/fs.h"
#include "oci/tar.h"
#include "snapshotter/layer_apply.h"

namespace kiln::internal {

/// Invariants:
///  1. parent_ is the open directory that parent_path_ names, if valid.
///  2. Every directory that the archive named or wrote into is in directories_, with the mode and
///     the mtime it will have after finish(): those of its entry, else those it had before.
///  3. kMerged on a tree that was not empty: written_ holds every path of the archive and the
///     directories above it. Its own whiteouts do not hide those (layer.md, "Whiteouts").
class TreeWriter {
 public:
  /// Both must outlive this.
  static Result<TreeWriter> open(const Root& root, const ApplyOptions& options);

  /// An empty file, open for writing. finish_file() gives it owner, xattrs, mode and times.
  Result<Fd> create_file(const oci::TarEntry& entry);
  Status finish_file(const Fd& file, const oci::TarEntry& entry);
  Status make_directory(const oci::TarEntry& entry);
  Status make_hardlink(const oci::TarEntry& entry);
  Status make_node(const oci::TarEntry& entry);  // symlink, device or fifo
  /// Hides what other layers have at `path`; what this archive has put there stays.
  Status white_out(const RelPath& path);
  /// Hides what other layers have inside the directory.
  Status make_opaque(const RelPath& path);
  Status finish();

 private:
  using Inode = std::pair<dev_t, ino_t>;  // paths may reach one directory through several links
  struct Settled {
    RelPath path;
    mode_t mode = 0;
    struct timespec mtime {};
  };

  TreeWriter(const Root& root, const ApplyOptions& options) : root_(root), options_(options) {}
  bool is_upper() const { return options_.mode == ApplyMode::kOverlayUpper; }
  Status enter_parent(const oci::TarEntry& entry);
  Result<Fd> open_or_make(const RelPath& directory, const struct timespec& mtime);
  Result<Fd> make_implied(const RelPath& directory, const struct timespec& mtime);
  Result<Fd> open_existing(const RelPath& directory) const;
  /// Calls `create` (0, or -1 and errno); if something is in the way, removes it and tries again.
  template <class Create>
  Status create_entry(const oci::TarEntry& entry, Create create);
  Status create_directory(const oci::TarEntry& entry);
  Status set_xattrs(int fd, const oci::TarEntry& entry) const;
  Status note_directory(const RelPath& path, int fd, mode_t mode, const struct timespec& mtime);
  Status note_parent(const RelPath& path, int fd);
  Status settle(const Inode& inode, const Settled& directory) const;
  Status mark_opaque(const RelPath& path) const;
  Result<Fd> open_link_target(const RelPath& target) const;
  Status remove_foreign(int directory_fd, const RelPath& path);
  void note_written(const RelPath& path);

  const Root& root_;
  const ApplyOptions& options_;
  bool tracks_ = false;         // see invariant 3
  bool hides_nothing_ = false;  // kMerged on an empty tree
  Fd parent_;
  RelPath parent_path_;
  std::map<Inode, Settled> directories_;
  std::unordered_set<std::string> written_;
};

}  // namespace kiln::internal
