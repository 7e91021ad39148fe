// Results that are file trees: what every operation here makes and takes. A TreeRef says what the
// tree is (a snapshot, nothing, a local directory used in place); a TreeView looks into it. The
// implementations are in sources/snapshot_ref.h and sources/context.h.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/fs.h"
#include "snapshotter/types.h"
#include "solver/operation.h"

namespace kiln {

/// A read-only look into a tree. Paths name entries as they lie there: no symlink in them is
/// followed (resolve_in_view does that). Safe for concurrent use.
class TreeView {
 public:
  struct Entry {
    std::string name;
    struct stat st;
  };
  virtual ~TreeView() = default;
  /// The directory that the view reads. With filtered(), it holds more than the view shows.
  virtual const Root& root() const = 0;
  virtual bool filtered() const { return false; }
  /// nullopt: absent, hidden, or below something that is no directory. Owners are the tree's, not
  /// the disk's: a context's files belong to 0:0 (DOCKERFILE.md C11).
  virtual Result<std::optional<struct stat>> stat(const RelPath& path) const = 0;
  /// Sorted bytewise by name, without sockets. kNotFound, kInvalidArgument: no directory.
  virtual Result<std::vector<Entry>> list(const RelPath& directory) const = 0;
  virtual Result<std::string> read_link(const RelPath& path) const = 0;
  /// SHA-256 of a regular file's bytes; kFailedPrecondition if it keeps changing. Where the view
  /// keeps a stat cache, an unchanged file is not read.
  virtual Result<Digest> file_digest(const RelPath& path) const = 0;
  /// The ignore rule that hides `path`, and where it stands; "" if none does.
  virtual std::string hidden_by(const RelPath& path) const;
  /// Remembers digests made since for the next build. Harmless to call, never fails a build.
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

/// `path` with symlinks resolved inside the view (the last component's only if asked), through
/// directories that the view shows. Components that do not exist are kept. kInvalidArgument: too
/// many links.
Result<RelPath> resolve_in_view(const TreeView& view, const RelPath& path, FollowLast follow);

}  // namespace kiln
