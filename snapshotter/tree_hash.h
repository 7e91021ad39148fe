// Content digests of trees: what COPY and bind mounts put into a cache key (DOCKERFILE.md C20).
// Mode, uid, gid, size, type, link target, device numbers and xattrs (user.* and
// security.capability) count, mtimes do not; a directory is the hash over its sorted names and its
// children's digests.
#pragma once

#include "base/digest.h"
#include "base/fs.h"

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// SHA-256 of files by (device, inode, size, mtime ns, ctime ns), kept in one flat file per tree
/// and mapped on open. Entries whose mtime or ctime was within 2 s of when they were read are not
/// kept (git's racy rule, SAFETY.md 1.5). A torn or foreign file is an empty cache. Thread-safe for
/// lookups and inserts. Only files without counted xattrs may be inserted: that is how a hit says
/// "no xattrs" without a system call (setting one changes ctime).
class StatCache {
 public:
  static std::unique_ptr<StatCache> open(std::string file);  // never fails: at worst empty
  virtual ~StatCache() = default;
  virtual std::optional<Digest> find(const struct stat& st) const = 0;
  virtual void insert(const struct stat& st, const Digest& digest) = 0;
  /// Of a whole selection, by a digest of what stat() showed of each of its entries: its digest, if
  /// that was told before. `files`: how many regular files it has, none of which need be found
  /// then.
  virtual std::optional<Digest> find_selection(const Digest& key) const = 0;
  virtual void insert_selection(const Digest& key, const Digest& digest, uint64_t files) = 0;
  /// Writes what was found or inserted since open (atomically replaced, not fsynced: it is only a
  /// cache). Nothing is written when nothing was inserted and most of what the file holds was
  /// found. Once, from one thread.
  virtual Status save() = 0;
};

/// What a hasher sees of an entry; `name` is the entry's own name (no directory).
struct HashedEntry {
  struct stat st;
  std::string link_target;                                  // symlinks
  std::vector<std::pair<std::string, std::string>> xattrs;  // sorted
  std::optional<Digest> data;                               // regular files: SHA-256 of the bytes
};
/// The digest of one entry's header and data, without its name.
Digest hash_entry(const HashedEntry& entry);

struct FileDigest {
  Digest digest;
  struct stat st;
};
/// Reads a regular file once: stat, bytes, stat again; retried if it changed meanwhile, then
/// kFailedPrecondition naming it. `path` is not followed if it is a link; kInvalidArgument if it is
/// not a regular file.
Result<FileDigest> hash_file(const Root& root, const RelPath& path, StatCache* cache);

/// The digest of `path` in `root` (a file, or a directory recursively, in parallel on oneTBB).
/// Symlinks inside are hashed as links; whether `path` itself follows is the caller's choice, made
/// by resolving it before. kNotFound.
Result<Digest> hash_tree(const Root& root, const RelPath& path, StatCache* cache,
                         std::stop_token stop);

}  // namespace kiln
