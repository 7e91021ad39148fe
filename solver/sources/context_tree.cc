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

namespace {

constexpr int64_t kRacySeconds = 2;
constexpr size_t kBatchBytes = size_t{64} << 10U;

class Fingerprint {
 public:
  explicit Fingerprint(int64_t now) : settled_(now - kRacySeconds) {}

  bool add(const ContextEntry& entry) {
    text(entry.name);
    number(entry.mode);
    if (entry.directory) {
      number(entry.directory->entries.size());
      return std::all_of(entry.directory->entries.begin(), entry.directory->entries.end(),
                         [this](const ContextEntry& child) { return add(child); });
    }
    for (const uint64_t one : {entry.size, entry.inode, entry.device, entry.special_device,
                               static_cast<uint64_t>(entry.mtime), uint64_t{entry.mtime_ns},
                               static_cast<uint64_t>(entry.ctime), uint64_t{entry.ctime_ns}})
      number(one);
    text(entry.link_target);
    return entry.mtime < settled_ && entry.ctime < settled_;
  }

  Digest finish() {
    flush();
    return hasher_.finish();
  }

 private:
  void number(uint64_t value) { bytes(&value, sizeof(value)); }
  void text(std::string_view value) {
    number(value.size());
    bytes(value.data(), value.size());
  }
  void bytes(const void* data, size_t size) {
    batch_.append(static_cast<const char*>(data), size);
    if (batch_.size() >= kBatchBytes) flush();
  }
  void flush() {
    hasher_.update(batch_);
    batch_.clear();
  }

  const int64_t settled_;
  std::string batch_;
  Hasher hasher_;
};

}  // namespace

std::optional<Digest> fingerprint_of(const ContextEntry& entry, int64_t now) {
  Fingerprint out(now);
  if (!out.add(entry)) return std::nullopt;
  return out.finish();
}

const ContextEntry* ContextDirectory::find(std::string_view name) const {
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const ContextEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != entries.end() && found->name == name ? &*found : nullptr;
}

}  // namespace kiln::internal
