// The entries of a local context in memory: what one walk saw. Compact, because a context may hold
// hundreds of thousands of files.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/path.h"

namespace kiln::internal {

struct ContextDirectory;

/// Constant after the walk, but for the digest, which is set once by whoever reads the file first.
struct ContextEntry {
  std::string name;
  std::string link_target;                      // symlinks
  std::unique_ptr<ContextDirectory> directory;  // directories
  uint64_t size = 0, inode = 0, device = 0, special_device = 0;
  int64_t mtime = 0, ctime = 0;
  uint32_t mtime_ns = 0, ctime_ns = 0;
  uint32_t mode = 0, links = 1;

  static ContextEntry of(std::string name, const struct stat& st);
  /// Owner 0:0.
  struct stat to_stat() const;
  /// Same file with the same bytes, as far as the kernel tells.
  bool is_same_file(const struct stat& st) const;

  std::optional<Digest> digest() const;
  void set_digest(const Digest& digest) const;

 private:
  enum : uint8_t { kUnknown, kBeingSet, kSet };
  alignas(4) mutable uint8_t digest_state_ = kUnknown;  // through atomic_ref
  mutable std::array<std::byte, Digest::kBytes> digest_{};
};

struct ContextDirectory {
  std::vector<ContextEntry> entries;  // sorted bytewise by name
  bool kept = true;                   // selected itself, not only for what is below it
  const ContextEntry* find(std::string_view name) const;
};

/// Of an entry and all below it: names, types, modes, link targets, and of what is no directory
/// everything that stat() tells. nullopt: something changed within 2 s before `now` (seconds), when
/// another change might not have shown (SAFETY.md 1.5).
std::optional<Digest> fingerprint_of(const ContextEntry& entry, int64_t now);

}  // namespace kiln::internal
