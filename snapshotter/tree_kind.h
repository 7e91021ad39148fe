// What the kinds of snapshotter do differently: how changes lie in a directory, how directories
// become a tree, and the way to and from a layer tar. Everything about rows, publication and blobs
// is in snapshot_store.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/result.h"
#include "snapshotter/index.h"
#include "snapshotter/layer_source.h"
#include "snapshotter/types.h"

namespace kiln::internal {

/// Directories of published snapshots (`…/<number>`), root first.
using Ancestors = std::vector<std::string>;

/// A snapshot's `directory` holds `fs`, and while it is being made whatever else the kind needs.
/// Thread-safe.
class TreeKind {
 public:
  virtual ~TreeKind() = default;
  virtual std::string_view name() const = 0;
  /// Fills an empty directory so that it can be mounted writably on top of `below`.
  virtual Status start(const std::string& directory, const Ancestors& below,
                       std::stop_token stop) = 0;
  virtual Result<std::vector<Mount>> writable(const std::string& directory,
                                              const Ancestors& below) = 0;
  /// The tree of a chain, its last directory included; not empty.
  virtual Result<std::vector<Mount>> readable(const Ancestors& chain) = 0;
  /// Makes a directory that start() began, now unmounted, ready to be published. The root's owner,
  /// mode and mtime become those of the tree below: layers do not record them.
  virtual Status finish(const std::string& directory, const Ancestors& below) = 0;
  /// Makes the directory of a layer from its blob, ready to be published.
  virtual Result<Portable> unpack(const LayerSource& layer, const std::string& directory,
                                  const Ancestors& below, std::stop_token stop) = 0;
  /// Writes what a published directory changed over the tree below.
  virtual Status pack(const std::string& directory, const Ancestors& below, Sink& tar,
                      std::stop_token stop) = 0;
  /// True if a directory holds changes alone, so that it may serve on several parents.
  virtual bool can_share() const = 0;
  /// True if it deletes more than it names, which on another parent would be more than its layer
  /// tar says: opaque directories.
  virtual Result<bool> hides_unnamed(const std::string& directory) = 0;
};

/// `xattrs`: prefix of overlayfs's, "trusted.overlay." or, in a user namespace, "user.overlay.".
std::unique_ptr<TreeKind> make_overlay_kind(std::string scratch, std::string xattrs);
std::unique_ptr<TreeKind> make_copying_kind();
/// The prefix to use here, found by mounting. kFailedPrecondition: this directory's file system
/// cannot be an overlay upper, or mounting is not permitted.
Result<std::string> probe_overlay(const std::string& directory);

std::string tree_of(const std::string& directory);  // "<directory>/fs"
/// The mtime of `directory`'s fs in nanoseconds, which no change below its top level alters;
/// nullopt: it is no directory, or gone.
Result<std::optional<int64_t>> root_mtime(const std::string& directory);
/// Whether a root's mtime is still what was noted. Some file systems keep whole seconds only.
bool is_same_root_mtime(int64_t noted, int64_t found);
/// Owner, mode and times of `directory`'s fs: those of the tree below, or what an empty tree has.
Status set_root_metadata(const std::string& directory, const Ancestors& below);

}  // namespace kiln::internal
