#include "solver/sources/context_tree.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>

namespace kiln::internal {

ContextEntry ContextEntry::of(std::string name, const struct stat& st) {
  ContextEntry entry;
  entry.name = std::move(name);
  entry.size = S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
  entry.inode = st.st_ino;
  entry.device = st.st_dev;
  entry.special_device = st.st_rdev;
  entry.mtime = st.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  entry.ctime = st.st_ctim.tv_sec;
  entry.ctime_ns = static_cast<uint32_t>(st.st_ctim.tv_nsec);
  entry.mode = st.st_mode;
  entry.links = static_cast<uint32_t>(std::min<uint64_t>(st.st_nlink, UINT32_MAX));
  return entry;
}

struct stat ContextEntry::to_stat() const {
  struct stat st {};
  st.st_size = static_cast<off_t>(size);
  st.st_ino = inode;
  st.st_dev = device;
  st.st_rdev = special_device;
  st.st_mtim = {mtime, mtime_ns};
  st.st_ctim = {ctime, ctime_ns};
  st.st_mode = mode;
  st.st_nlink = links;
  return st;
}

bool ContextEntry::is_same_file(const struct stat& st) const {
  return st.st_ino == inode && st.st_dev == device && st.st_mode == mode &&
         static_cast<uint64_t>(st.st_size) == size && st.st_mtim.tv_sec == mtime &&
         st.st_mtim.tv_nsec == mtime_ns && st.st_ctim.tv_sec == ctime &&
         st.st_ctim.tv_nsec == ctime_ns;
}

std::optional<Digest> ContextEntry::digest() const {
  if (std::atomic_ref(digest_state_).load(std::memory_order_acquire) != kSet) return std::nullopt;
  return Digest::from_bytes(std::span<const std::byte, Digest::kBytes>(digest_));
}

void ContextEntry::set_digest(const Digest& digest) const {
  uint8_t expected = kUnknown;
  std::atomic_ref state(digest_state_);
  if (!state.compare_exchange_strong(expected, kBeingSet, std::memory_order_acq_rel)) return;
  std::memcpy(digest_.data(), digest.bytes().data(), digest_.size());
  state.store(kSet, std::memory_order_release);
}

const ContextEntry* ContextDirectory::find(std::string_view name) const {
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const ContextEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != entries.end() && found->name == name ? &*found : nullptr;
}

}  // namespace kiln::internal
