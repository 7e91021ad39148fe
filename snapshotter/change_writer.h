// What both differs share: changes of a tree, given in walking order, become the entries of a layer
// tar. Adds what the tar rules ask for besides (DOCKERFILE.md, "Layer diff / tar rules"): parents
// of changed entries, hardlinks to the first path of a file, whiteouts.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "snapshotter/layer_stream.h"

namespace kiln::internal {

/// Type, owner, mode and whole seconds of mtime; a symlink's target is the caller's to add.
oci::TarEntry entry_of(const RelPath& path, const struct stat& st);
/// What overlayfs leaves for a deleted entry. No layer can hold this device as such.
bool is_whiteout_device(const struct stat& st);
/// Nanoseconds count only where both have them: layers carry none.
bool same_mtime(const struct stat& a, const struct stat& b);
/// Mode, owner and mtime.
bool same_metadata(const struct stat& a, const struct stat& b);

/// A directory's entries with what lstat says; `link_target` of symlinks only.
struct Child {
  std::string name;
  struct stat st {};
  std::string link_target;
};
/// Sorted bytewise by name. kInvalidArgument for names that layers use for whiteouts.
Result<std::vector<Child>> read_children(const Root& root, const RelPath& directory);
/// nullopt: absent, or `name`'s directory is.
Result<std::optional<struct stat>> stat_child(const Fd& directory, const std::string& name);

enum class Changed : uint8_t { kNo, kYes };

class ChangeWriter {
 public:
  ChangeWriter(const Root& tree, Sink& tar, std::stop_token stop)
      : stream_(tree, tar, std::move(stop)) {}

  /// Goes into a directory. Its header is written at once if it changed, else with the first change
  /// inside, if there is one.
  Status enter(const RelPath& path, const struct stat& st, Changed changed);
  void leave() { open_.pop_back(); }
  /// Anything but a directory. Sockets are left out.
  Status add(const RelPath& path, const Child& child);
  Status white_out(const RelPath& path);
  Status finish() { return stream_.finish(); }

 private:
  struct OpenDirectory {
    RelPath path;
    struct stat st;
    bool written;
  };
  Status write_parents();

  LayerStream stream_;
  std::vector<OpenDirectory> open_;  // the outermost first; the root is not among them
  std::map<std::pair<dev_t, ino_t>, RelPath> first_paths_;  // of files with several links
};

}  // namespace kiln::internal
