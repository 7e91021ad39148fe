// What becomes durable, and what goes.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/disk_usage.h"
#include "base/fs.h"
#include "snapshotter/snapshot_store.h"

namespace kiln::internal {
namespace {

// Directories are named by decimal numbers; other names are not snapshots.
std::optional<int64_t> directory_number(const DirEntry& entry) {
  return entry.type == DT_DIR ? row_id({entry.name}) : std::nullopt;
}

}  // namespace

Status SnapshotStore::drop_lost() {
  KILN_TRY_ASSIGN(const bool any, index_.has_lost());
  if (!any) return {};
  std::vector<int64_t> directories;
  const auto body = [&]() -> Status {
    KILN_TRY_ASSIGN(directories, index_.drop_lost());
    return {};
  };
  KILN_TRY(database_.write(body));
  KILN_TRY(remove_directories(directories));
  return {};
}

Status SnapshotStore::sync() {
  KILN_TRY_ASSIGN(const auto rows, index_.unsynced());
  if (rows.empty()) return {};
  const Fd fd(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open", directory_);
  if (::syncfs(fd.get()) != 0) return fail_errno("sync", directory_);
  KILN_TRY(database_.write([&] { return index_.mark_synced(rows); }));
  // With synchronous=NORMAL a commit is not on disk yet; a checkpoint syncs the log first.
  return database_.execute("PRAGMA wal_checkpoint(PASSIVE)");
}

Result<std::vector<SnapshotId>> SnapshotStore::list() {
  KILN_TRY_ASSIGN(const auto rows, index_.all());
  std::vector<SnapshotId> ids;
  ids.reserve(rows.size());
  for (const SnapshotRow& row : rows) ids.push_back(snapshot_id(row.id));
  return ids;
}

Result<std::vector<int64_t>> SnapshotStore::choose_victims(const std::vector<SnapshotId>& keep,
                                                           uint64_t before) {
  KILN_TRY_ASSIGN(const auto rows, index_.all());
  KILN_TRY_ASSIGN(const uint64_t oldest_live, leases_.oldest_live());
  const uint64_t oldest = std::min(before, oldest_live);
  std::set<int64_t> kept;
  for (const SnapshotId& id : keep) {
    if (const auto row = row_id(id)) kept.insert(*row);
  }
  for (const auto& [id, uses] : *pins_.lock()) kept.insert(id);
  std::vector<int64_t> victims;
  // Parents and restacked layers are older than what needs them, so going from young to old meets
  // every row after all that could keep it.
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (row->used_seq < oldest && !kept.contains(row->id)) {
      victims.push_back(row->id);
      continue;
    }
    kept.insert(row->parent);
    kept.insert(row->layer);
  }
  return victims;
}

// In a transaction: then no directory without a row is one that is just being published.
Result<std::vector<std::string>> SnapshotStore::take_orphans() {
  KILN_TRY_ASSIGN(const auto rows, index_.all());
  std::set<int64_t> named;
  for (const SnapshotRow& row : rows) named.insert(row.directory);
  KILN_TRY_ASSIGN(const Root root, Root::open(directory_));
  KILN_TRY_ASSIGN(const auto entries, list_dir(root.fd()));
  std::vector<std::string> taken;
  for (const DirEntry& entry : entries) {
    const auto number = directory_number(entry);
    if (!number || named.contains(*number)) continue;
    KILN_TRY_ASSIGN(std::string aside, area_->take(path_of(*number)));
    taken.push_back(std::move(aside));
  }
  return taken;
}

Result<uint64_t> SnapshotStore::remove_directories(const std::vector<int64_t>& directories) {
  uint64_t freed = 0;
  for (const int64_t directory : directories) {
    // Gone already: another process's sweep of orphans came first.
    auto aside = area_->take(path_of(directory));
    if (!aside && aside.error().code() == Code::kNotFound) continue;
    if (!aside) return tl::unexpected(aside.error());
    KILN_TRY_ASSIGN(const uint64_t bytes, disk_usage(*aside));
    KILN_TRY(remove_tree(*aside));
    freed += bytes;
  }
  return freed;
}

Result<uint64_t> SnapshotStore::remove_unreferenced(const std::vector<SnapshotId>& keep,
                                                    uint64_t before) {
  std::vector<int64_t> victims;
  std::vector<int64_t> directories;
  std::vector<std::string> orphans;
  // Rows first, their directories after the commit: a crash in between leaves orphans, which the
  // next removal takes. The other order could leave rows without directories.
  const auto body = [&]() -> Status {
    KILN_TRY_ASSIGN(orphans, take_orphans());
    KILN_TRY_ASSIGN(victims, choose_victims(keep, before));
    KILN_TRY_ASSIGN(directories, index_.remove(victims));
    return {};
  };
  KILN_TRY(database_.write(body));
  KILN_TRY_ASSIGN(uint64_t freed, remove_directories(directories));
  for (const std::string& orphan : orphans) {
    KILN_TRY_ASSIGN(const uint64_t bytes, disk_usage(orphan));
    KILN_TRY(remove_tree(orphan));
    freed += bytes;
  }
  for (const int64_t id : victims) {
    for (const char* purpose : {"pack", "unpack"}) ::unlink(lock_path(id, purpose).c_str());
  }
  return freed;
}

}  // namespace kiln::internal
