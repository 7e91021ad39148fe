#include "solver/ops/cache_mounts.h"

#include <dirent.h>
#include <sys/stat.h>

#include <cstdio>

#include "base/digest.h"
#include "base/disk_usage.h"

namespace kiln {
namespace {

constexpr int kMaxPrivate = 1024;
constexpr size_t kMaxIdBytes = 1U << 20U;

std::string hashed(const std::string& id) {
  return Digest::of(id).hex();
}

std::string numbered(const std::string& name, int number) {
  return number == 0 ? name : name + "-" + std::to_string(number);
}

// For pruning, which takes the least recently used first; a time that cannot be set costs its
// order.
void note_use(const FileLock& lock) {
  (void)::futimens(lock.fd(), nullptr);
}

std::chrono::sys_time<std::chrono::nanoseconds> mtime_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return std::chrono::sys_time<std::chrono::nanoseconds>(
      std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec));
}

bool is_mount_name(const std::string& name) {
  return Digest::parse("sha256:" + name.substr(0, name.find('-'))).has_value();
}

}  // namespace

Result<CacheMount> CacheMounts::lock(const std::string& name, FileLock::Mode mode,
                                     std::stop_token stop) const {
  KILN_TRY_ASSIGN(FileLock held, FileLock::acquire(directory_ + "/" + name + ".lock", mode,
                                                   [stop] { return stop.stop_requested(); }));
  note_use(held);
  return CacheMount{data_path(name), std::move(held)};
}

Result<CacheMount> CacheMounts::first_free(const std::string& name, std::stop_token stop) const {
  for (int number = 0; number < kMaxPrivate; ++number) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "waiting for a cache mount");
    const std::string candidate = numbered(name, number);
    KILN_TRY_ASSIGN(auto held, FileLock::try_acquire(directory_ + "/" + candidate + ".lock",
                                                     FileLock::Mode::kExclusive));
    if (!held) continue;
    note_use(*held);
    return CacheMount{data_path(candidate), *std::move(held)};
  }
  return fail(Code::kResourceExhausted, "too many users of one private cache mount");
}

Status CacheMounts::create(const std::string& name, const std::string& id, const FillCache& fill,
                           const std::stop_token& stop) const {
  KILN_TRY_ASSIGN(TempDir fresh, TempDir::create(directory_, "new-"));
  KILN_TRY(fill_data(fresh.path() + "/data", id, fill, stop));
  KILN_TRY(write_file(fresh.path() + "/id", id));
  const std::string target = directory_ + "/" + name;
  // Left half removed by a process that was killed, if it is there at all.
  KILN_TRY(remove_tree(target));
  if (::rename(fresh.path().c_str(), target.c_str()) != 0) return fail_errno("rename", target);
  (void)fresh.release();  // it has another name, nothing is left to remove
  return {};
}

/// What others have of it goes over what it starts with.
Status CacheMounts::fill_data(const std::string& data, const std::string& id, const FillCache& fill,
                              const std::stop_token& stop) const {
  const auto start = [&]() -> Status {
    if (::mkdir(data.c_str(), 0755) != 0 || ::chmod(data.c_str(), 0755) != 0)
      return fail_errno("mkdir", data);
    return fill(data);
  };
  KILN_TRY(start());
  if (shared_ == nullptr || pruned_.lock()->contains(id)) return {};
  if (shared_->fill(id, data, stop) != SharedMounts::Filled::kPartly) return {};
  KILN_TRY(remove_tree(data));
  return start();
}

/// `held`: exclusively, or shared with the need to change that for making the directory.
Result<CacheMount> CacheMounts::make(const std::string& name, CacheMount held, FileLock::Mode mode,
                                     const std::string& id, const FillCache& fill,
                                     std::stop_token stop) const {
  for (;;) {
    KILN_TRY_ASSIGN(const bool present, exists(held.path));
    if (present) return held;
    if (mode == FileLock::Mode::kExclusive) {
      KILN_TRY(create(name, id, fill, stop));
      return held;
    }
    { const CacheMount released = std::move(held); }
    {
      KILN_TRY_ASSIGN(const CacheMount alone, lock(name, FileLock::Mode::kExclusive, stop));
      KILN_TRY_ASSIGN(const bool made_meanwhile, exists(alone.path));
      if (!made_meanwhile) KILN_TRY(create(name, id, fill, stop));
    }
    // Between the two locks somebody may prune it again: look once more.
    KILN_TRY_ASSIGN(held, lock(name, mode, stop));
  }
}

Result<CacheMount> CacheMounts::acquire(const llb::CacheMountOpt& cache, const FillCache& fill,
                                        std::stop_token stop) {
  KILN_TRY(make_dirs(directory_, 0700));
  if (shared_ != nullptr) shared_->on_use(cache.id);
  const std::string name = hashed(cache.id);
  if (cache.sharing == llb::CacheSharing::kPrivate) {
    KILN_TRY_ASSIGN(CacheMount held, first_free(name, stop));
    const std::string chosen =
        held.path.substr(directory_.size() + 1, held.path.rfind('/') - directory_.size() - 1);
    return make(chosen, std::move(held), FileLock::Mode::kExclusive, cache.id, fill, stop);
  }
  const auto mode = cache.sharing == llb::CacheSharing::kLocked ? FileLock::Mode::kExclusive
                                                                : FileLock::Mode::kShared;
  KILN_TRY_ASSIGN(CacheMount held, lock(name, mode, stop));
  return make(name, std::move(held), mode, cache.id, fill, stop);
}

Result<std::optional<CacheMount>> CacheMounts::look_at(const std::string& directory,
                                                       const std::string& id) {
  const std::string name = directory + "/" + hashed(id);
  KILN_TRY_ASSIGN(const bool present, exists(name + "/data"));
  if (!present) return std::nullopt;
  KILN_TRY_ASSIGN(auto held, FileLock::try_acquire(name + ".lock", FileLock::Mode::kExclusive));
  if (!held) return std::nullopt;
  return CacheMount{name + "/data", *std::move(held)};
}

Status CacheMounts::prune_once(const std::string& id, std::stop_token stop) {
  if (!pruned_.lock()->insert(id).second) return {};
  KILN_TRY(make_dirs(directory_, 0700));
  for (int number = 0; number < kMaxPrivate; ++number) {
    const std::string name = numbered(hashed(id), number);
    KILN_TRY_ASSIGN(const bool present, exists(directory_ + "/" + name));
    if (!present) break;
    KILN_TRY_ASSIGN(const CacheMount alone, lock(name, FileLock::Mode::kExclusive, stop));
    KILN_TRY(remove_tree(directory_ + "/" + name));
  }
  return {};
}

Result<std::vector<StoredCacheMount>> CacheMounts::list() const {
  KILN_TRY_ASSIGN(const bool any, exists(directory_));
  if (!any) return std::vector<StoredCacheMount>();
  KILN_TRY_ASSIGN(const Root root, Root::open(directory_));
  KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_dir(root.fd()));
  std::vector<StoredCacheMount> mounts;
  for (const DirEntry& entry : entries) {
    if (entry.type != DT_DIR || !is_mount_name(entry.name)) continue;
    const std::string path = directory_ + "/" + entry.name;
    const Result<std::string> id = read_file(path + "/id", kMaxIdBytes);
    const Result<uint64_t> bytes = disk_usage(path);
    if (!id || !bytes) continue;  // on its way out, or files come and go in it
    KILN_TRY_ASSIGN(const auto alone,
                    FileLock::try_acquire(path + ".lock", FileLock::Mode::kExclusive));
    mounts.push_back(
        {entry.name, *id, *bytes, !alone, mtime_of(path + "/id"), mtime_of(path + ".lock")});
  }
  return mounts;
}

// In its place, as prune_once() does it: what is left of a killed removal is found by the next.
Result<uint64_t> CacheMounts::remove(const std::string& name) const {
  const std::string path = directory_ + "/" + name;
  KILN_TRY_ASSIGN(const auto alone,
                  FileLock::try_acquire(path + ".lock", FileLock::Mode::kExclusive));
  if (!alone) return 0;
  KILN_TRY_ASSIGN(const bool present, exists(path));
  if (!present) return 0;
  KILN_TRY_ASSIGN(const uint64_t bytes, disk_usage(path));
  KILN_TRY(remove_tree(path));
  return bytes;
}

}  // namespace kiln
