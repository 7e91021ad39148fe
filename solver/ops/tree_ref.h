// Results that are file trees: what every operation here makes and takes. A TreeRef says what the
// tree is (a snapshot, nothing, a local directory used in place); a TreeView looks into it. The
// implementations are in snapshot_ref.h and sources/context.h.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/fs.h"
#include "snapshotter/types.h"
#include "solver/operation.h"
#include "solver/ops/file_scratch.h"

namespace kiln {

/// The names of a tree: what planning needs. Paths are to be resolved first (resolve_in_tree): what
/// a symlink in the middle of one does is unspecified, but it never leads outside. Thread-safe.
class TreeNames {
 public:
  struct Entry {
    std::string name;
    struct stat st;
  };
  virtual ~TreeNames() = default;
  /// nullopt: absent, hidden, or below something that is no directory. A symlink is itself. Owners
  /// are the tree's, not the disk's: a context's files belong to 0:0 (DOCKERFILE.md C11).
  virtual Result<std::optional<struct stat>> stat(const RelPath& path) const = 0;
  /// Sorted bytewise by name. kNotFound, kInvalidArgument: no directory.
  virtual Result<std::vector<Entry>> list(const RelPath& directory) const = 0;
  virtual Result<std::string> read_link(const RelPath& path) const = 0;
};

/// A file's bytes and its user.* and security.capability xattrs (sorted).
struct FileContent {
  Digest data;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

/// A read-only look into a tree and its files. Thread-safe.
class TreeView : public TreeNames {
 public:
  /// The directory that the view reads. With filtered(), it holds more than the view shows.
  virtual const Root& root() const = 0;
  virtual bool filtered() const { return false; }
  /// False: xattrs of the files on disk are none of the tree's (a local context).
  virtual bool has_xattrs() const { return true; }
  /// What is in a regular file; kFailedPrecondition if it changed since the view was made. Where
  /// the view keeps a stat cache, an unchanged file is not read.
  virtual Result<FileContent> file_content(const RelPath& path, FileScratch& scratch) const = 0;
  /// For reading a regular file; when all is read, check_unchanged().
  virtual Result<Fd> open_file(const RelPath& path, FileScratch& scratch) const;
  /// kFailedPrecondition: it is not the file any more that stat() tells of.
  virtual Status check_unchanged(const RelPath& path, const Fd& file) const;
  /// The ignore rule that hides `path`, and where it stands; "" if none does.
  virtual std::string hidden_by(const RelPath& path) const;
  /// A digest of all that the view knows of `path` and what is below it without reading a file. Two
  /// that are equal mean equal content. nullopt: the view cannot tell, or some of it changed so
  /// recently that another change might not show.
  virtual std::optional<Digest> fingerprint(const RelPath& path) const;
  /// What a selection, named by a digest of fingerprints and rules, was said to hash to.
  virtual std::optional<Digest> known_selection(const Digest& key) const;
  virtual void remember_selection(const Digest& key, const Digest& digest, uint64_t files) const;
  /// Remembers digests made since for the next build. Never fails a build.
  virtual void save_digests() const {}
};

/// An immutable file tree. Thread-safe.
class TreeRef : public Ref {
 public:
  /// The tree as a snapshot, nullopt: empty. A local directory is copied into one on first use.
  /// Blocks.
  virtual Result<std::optional<SnapshotId>> snapshot(std::stop_token stop) = 0;
  /// For looking into it; unpacks lazy layers. Must not outlive the ref. Blocks.
  virtual Result<std::unique_ptr<TreeView>> open(std::stop_token stop) = 0;
  /// When the step that made it ran: history's `created`.
  virtual std::chrono::sys_time<std::chrono::nanoseconds> created() const { return {}; }
};

/// `ref` as a tree; kInternal: an operation of another kind made it.
Result<TreeRef*> as_tree(Ref& ref);

/// `path` with symlinks resolved inside the tree (the last component's only if asked), through
/// entries that the tree shows. Components that do not exist are kept. kInvalidArgument: too many
/// links.
Result<RelPath> resolve_in_tree(const TreeNames& tree, const RelPath& path, FollowLast follow);

}  // namespace kiln
