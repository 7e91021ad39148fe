// One entry of a tree for hashing, relative to an open directory: what hash_file and hash_tree
// share.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "snapshotter/tree_hash.h"

namespace kiln::internal {

using Xattrs = std::vector<std::pair<std::string, std::string>>;

/// user.* and security.capability of an open file or directory (not O_PATH), sorted.
Result<Xattrs> counted_xattrs(int fd, std::string_view name);

/// What a thread needs for hashing files; reused from file to file.
struct HashWorker {
  Hasher hasher;
  std::vector<std::byte> buffer;
};

struct HashedFile {
  Digest data;
  struct stat st {};
  Xattrs xattrs;
};
/// Opens, reads and closes the file, which lstat has described as `before`; again, if it is not
/// what it was by the end. What is settled and has no counted xattrs goes into `cache`. `path` is
/// for errors.
Result<HashedFile> read_and_hash(int directory_fd, const struct stat& before, const RelPath& path,
                                 StatCache* cache, HashWorker& worker);

}  // namespace kiln::internal
