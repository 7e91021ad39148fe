// File-system work on directory fds. `Root` is the one way to reach a path that an image, an
// archive, a context or a Dockerfile names: openat2(2) with RESOLVE_IN_ROOT |
// RESOLVE_NO_MAGICLINKS, so that symlinks (absolute ones too) resolve inside and nothing escapes
// (SAFETY.md 1.1). Paths of kiln's own store may use the plain functions below.
#pragma once

#include "base/fd.h"
#include "base/path.h"
#include "base/result.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

enum class FollowLast : uint8_t { kNo, kYes };  // does a symlink in the final component resolve?

struct DirEntry {
  std::string name;
  uint8_t type;  // DT_*; DT_UNKNOWN is resolved with fstatat before it is returned
};
/// All entries but "." and "..", sorted bytewise. Reads through its own fd; `dir_fd` keeps its
/// offset.
Result<std::vector<DirEntry>> list_dir(int dir_fd);

/// A directory that bounds every path resolved through it. Movable; safe for concurrent use.
class Root {
 public:
  static Result<Root> open(const std::string& directory);  // a trusted path
  explicit Root(Fd directory) : fd_(std::move(directory)) {}

  int fd() const { return fd_.get(); }
  /// openat2 in the root. `flags` as for openat; O_CLOEXEC is added, O_NOFOLLOW if `follow` is kNo.
  Result<Fd> open(const RelPath& path, int flags, mode_t mode = 0,
                  FollowLast follow = FollowLast::kYes) const;
  /// nullopt: absent (ENOENT, ENOTDIR).
  Result<std::optional<struct stat>> stat(const RelPath& path, FollowLast follow) const;
  Result<std::string> read_link(const RelPath& path) const;
  /// The path with all symlinks resolved inside the root, final one too if asked. Components that
  /// do not exist are kept as they are. kInvalidArgument after 255 links.
  Result<RelPath> resolve(const RelPath& path, FollowLast follow) const;
  /// Opens the parent directory of `path` (O_PATH), resolving symlinks inside the root.
  Result<Fd> open_parent(const RelPath& path) const;
  /// A regular file's bytes. kInvalidArgument if it is not one, kResourceExhausted above
  /// `limit_bytes`.
  Result<std::string> read_file(const RelPath& path, uint64_t limit_bytes) const;
  Result<Root> sub_root(const RelPath& directory) const;

 private:
  Fd fd_;
};

Result<std::string> read_file(const std::string& path,
                              uint64_t limit_bytes);  // trusted path; follows symlinks
Status write_file(const std::string& path, std::string_view data);  // not atomic, not durable
Status make_dirs(const std::string& path, mode_t mode = 0755);      // mkdir -p; trusted path
/// rm -rf without following symlinks, on the same mount only. Absent is success. kInvalidArgument
/// for a path that contains ".." or ends in ".".
Status remove_tree(const std::string& path);
Status remove_tree_at(int dir_fd, std::string_view name);
Result<bool> exists(const std::string& path);  // lstat
Status fsync_dir(const std::string& path);
/// Copies what is left of `from` to `to`: FICLONE, then copy_file_range, then read/write. Returns
/// the bytes.
Result<uint64_t> copy_file_data(int from, int to);
Status write_fully(int fd, std::span<const std::byte> data, std::string_view name);
Result<std::string> xattr_of(int fd, const char* name);  // "": absent or unsupported

/// Written apart and then published: temp file in the target's directory, fsync, rename, directory
/// fsync. Destroyed without commit() it leaves nothing.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string& target, mode_t mode = 0644);
  AtomicFile(AtomicFile&&) noexcept = default;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  ~AtomicFile();
  int fd() const { return fd_.get(); }
  Status write(std::string_view data);
  Status commit();  // durable on success; once
 private:
  AtomicFile(Fd fd, std::string temp, std::string target);
  void discard() noexcept;
  Fd fd_;
  std::string temp_, target_;
};

/// A directory that its destructor removes with all it holds.
class TempDir {
 public:
  static Result<TempDir> create(const std::string& parent, std::string_view prefix);
  TempDir(TempDir&&) noexcept = default;
  TempDir& operator=(TempDir&&) noexcept;
  ~TempDir();
  const std::string& path() const { return path_; }
  std::string release();  // the caller owns it from here on
 private:
  explicit TempDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// flock(2) on a lock file, which is created and never removed. Released by the destructor or the
/// process's death.
class FileLock {
 public:
  enum class Mode : uint8_t { kShared, kExclusive };
  /// Blocks in steps of at most 50 ms until locked or `stop` (kCancelled).
  static Result<FileLock> acquire(const std::string& path, Mode mode,
                                  const std::function<bool()>& stop_requested);
  static Result<std::optional<FileLock>> try_acquire(const std::string& path,
                                                     Mode mode);  // nullopt: held elsewhere
  int fd() const { return fd_.get(); }  // to tell whether the file is still linked
 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace kiln
