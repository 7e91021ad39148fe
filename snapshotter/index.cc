#include "snapshotter/index.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <set>

#include "base/fs.h"

namespace kiln::internal {
namespace {

constexpr int kVersion = 3;
constexpr std::string_view kSchema = R"(
CREATE TABLE snapshots(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INTEGER NOT NULL,
  layer INTEGER NOT NULL,
  directory INTEGER NOT NULL,
  portable INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  synced INTEGER NOT NULL,
  used_seq INTEGER NOT NULL,
  size INTEGER,
  description TEXT NOT NULL,
  created INTEGER NOT NULL,
  root_mtime INTEGER);
CREATE INDEX snapshots_parent ON snapshots(parent);
CREATE INDEX snapshots_layer ON snapshots(layer);
CREATE INDEX snapshots_unsynced ON snapshots(boot_id) WHERE synced = 0;
CREATE TABLE snapshot_blobs(
  layer INTEGER NOT NULL,
  digest TEXT NOT NULL,
  size INTEGER NOT NULL,
  media_type TEXT NOT NULL,
  diff_id TEXT NOT NULL,
  level INTEGER,
  PRIMARY KEY(layer, digest)) WITHOUT ROWID;
CREATE INDEX snapshot_blobs_diff_id ON snapshot_blobs(diff_id)
)";

#define KILN_SNAPSHOT_COLUMNS(table)                                                              \
  table ".id, " table ".parent, " table ".layer, " table ".directory, " table ".portable, " table \
        ".synced, " table ".used_seq, " table ".size, " table ".description, " table              \
        ".created, " table ".root_mtime"

SnapshotRow read_row(const Statement& at) {
  SnapshotRow row;
  row.id = at.integer(0);
  row.parent = at.integer(1);
  row.layer = at.integer(2);
  row.directory = at.integer(3);
  row.portable = at.integer(4) != 0;
  row.synced = at.integer(5) != 0;
  row.used_seq = static_cast<uint64_t>(at.integer(6));
  if (!at.is_null(7)) row.size_bytes = static_cast<uint64_t>(at.integer(7));
  row.description = at.text(8);
  row.created_seconds = at.integer(9);
  if (!at.is_null(10)) row.root_mtime = at.integer(10);
  return row;
}

template <class T>
void bind_optional(Statement& statement, int index, const std::optional<T>& value) {
  if (value) {
    statement.bind(index, static_cast<int64_t>(*value));
  } else {
    statement.bind_null(index);
  }
}

// Read from the running kernel, so that "this boot" cannot be inherited through a file.
Result<std::string> read_boot_id() {
  KILN_TRY_ASSIGN(std::string id, read_file("/proc/sys/kernel/random/boot_id", 128));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

}  // namespace

std::optional<int64_t> row_id(const SnapshotId& id) {
  int64_t row = 0;
  const char* end = id.value.data() + id.value.size();
  const auto parsed = std::from_chars(id.value.data(), end, row);
  if (parsed.ec != std::errc() || parsed.ptr != end || row <= 0) return std::nullopt;
  return row;
}

SnapshotId snapshot_id(int64_t row) {
  return {std::to_string(row)};
}

Result<SnapshotIndex> SnapshotIndex::open(Database& database) {
  // Version 1 noted no times, version 2 seconds.
  const auto upgrade = [&](int found) {
    return database.execute(found == 1 ? "ALTER TABLE snapshots ADD COLUMN root_mtime INTEGER"
                                       : "UPDATE snapshots SET root_mtime = NULL");
  };
  KILN_TRY(database.ensure_schema("snapshots", kVersion, kSchema, upgrade));
  KILN_TRY_ASSIGN(std::string boot_id, read_boot_id());
  return SnapshotIndex(database, std::move(boot_id));
}

Result<std::vector<SnapshotRow>> SnapshotIndex::rows(Statement statement) {
  std::vector<SnapshotRow> found;
  for (;;) {
    KILN_TRY_ASSIGN(const bool more, statement.step());
    if (!more) return found;
    found.push_back(read_row(statement));
  }
}

Result<std::vector<int64_t>> SnapshotIndex::numbers(Statement statement) {
  std::vector<int64_t> found;
  for (;;) {
    KILN_TRY_ASSIGN(const bool more, statement.step());
    if (!more) return found;
    found.push_back(statement.integer(0));
  }
}

Result<std::vector<SnapshotRow>> SnapshotIndex::chain(int64_t id) {
  KILN_TRY_ASSIGN(Statement query,
                  database_->prepare("WITH RECURSIVE up(id, parent, depth) AS ("
                                     " SELECT id, parent, 0 FROM snapshots WHERE id = ?1"
                                     " UNION ALL SELECT s.id, s.parent, up.depth + 1"
                                     " FROM snapshots s JOIN up ON s.id = up.parent) "
                                     "SELECT " KILN_SNAPSHOT_COLUMNS(
                                         "s") " FROM up JOIN snapshots s ON s.id = up.id"
                                              " ORDER BY up.depth DESC"));
  query.bind(1, id);
  KILN_TRY_ASSIGN(auto chain, rows(std::move(query)));
  // What lost a parent would read as something else.
  if (!chain.empty() && chain.front().parent != 0) chain.clear();
  return chain;
}

Result<std::vector<SnapshotRow>> SnapshotIndex::all() {
  KILN_TRY_ASSIGN(
      Statement query,
      database_->prepare("SELECT " KILN_SNAPSHOT_COLUMNS("s") " FROM snapshots s ORDER BY s.id"));
  return rows(std::move(query));
}

Result<int64_t> SnapshotIndex::find_restacked(int64_t parent, int64_t layer) {
  KILN_TRY_ASSIGN(Statement query,
                  database_->prepare("SELECT id FROM snapshots WHERE layer = ?1 AND parent = ?2"
                                     " ORDER BY id LIMIT 1"));
  query.bind(1, layer).bind(2, parent);
  KILN_TRY_ASSIGN(const bool found, query.step());
  return found ? query.integer(0) : 0;
}

Result<int64_t> SnapshotIndex::find_layer(int64_t parent, const Digest& diff_id) {
  KILN_TRY_ASSIGN(Statement query, database_->prepare("SELECT s.id FROM snapshot_blobs b"
                                                      " JOIN snapshots s ON s.layer = b.layer"
                                                      " WHERE b.diff_id = ?1 AND s.parent = ?2"
                                                      " ORDER BY s.id LIMIT 1"));
  query.bind(1, diff_id.to_string()).bind(2, parent);
  KILN_TRY_ASSIGN(const bool found, query.step());
  return found ? query.integer(0) : 0;
}

Result<int64_t> SnapshotIndex::insert(const SnapshotRow& row) {
  KILN_TRY_ASSIGN(Statement add,
                  database_->prepare("INSERT INTO snapshots(parent, layer, directory, portable,"
                                     " boot_id, synced, used_seq, size, description, created,"
                                     " root_mtime)"
                                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                                     " RETURNING id"));
  add.bind(1, row.parent).bind(2, row.layer).bind(3, row.directory);
  add.bind(4, int64_t{row.portable}).bind(5, boot_id_).bind(6, int64_t{row.synced});
  add.bind(7, static_cast<int64_t>(row.used_seq)).bind(9, row.description);
  add.bind(10, row.created_seconds != 0 ? row.created_seconds
                                        : static_cast<int64_t>(std::time(nullptr)));
  bind_optional(add, 8, row.size_bytes);
  bind_optional(add, 11, row.root_mtime);
  KILN_TRY_ASSIGN(const bool inserted, add.step());
  if (!inserted) return fail(Code::kInternal, "the new snapshot has no id");
  const int64_t id = add.integer(0);
  KILN_TRY(add.run());
  if (row.layer != 0) return id;
  KILN_TRY_ASSIGN(Statement own, database_->prepare("UPDATE snapshots SET layer = id"
                                                    " WHERE id = ?1"));
  KILN_TRY(own.bind(1, id).run());
  return id;
}

Status SnapshotIndex::stamp(const std::vector<SnapshotRow>& rows, uint64_t used_seq) {
  for (const SnapshotRow& row : rows) {
    if (row.used_seq >= used_seq) continue;
    KILN_TRY_ASSIGN(Statement update,
                    database_->prepare("UPDATE snapshots SET used_seq = max(used_seq, ?2)"
                                       " WHERE id = ?1"));
    KILN_TRY(update.bind(1, row.id).bind(2, static_cast<int64_t>(used_seq)).run());
  }
  return {};
}

Status SnapshotIndex::set_size(int64_t directory, uint64_t bytes) {
  KILN_TRY_ASSIGN(Statement update,
                  database_->prepare("UPDATE snapshots SET size = ?2 WHERE directory = ?1"));
  return update.bind(1, directory).bind(2, static_cast<int64_t>(bytes)).run();
}

Status SnapshotIndex::set_directory(const SnapshotRow& row, int64_t directory, Portable portable) {
  const std::string_view others =
      portable == Portable::kYes
          ? "UPDATE snapshots SET directory = ?1, portable = 1, boot_id = ?2, synced = 0,"
            " size = NULL, root_mtime = ?5"
            " WHERE directory = 0 AND (id = ?3 OR (layer = ?4 AND parent <> 0))"
          : "UPDATE snapshots SET directory = ?1, portable = 0, boot_id = ?2, synced = 0,"
            " size = NULL, root_mtime = ?5 WHERE directory = 0 AND id = ?3 AND layer = ?4";
  KILN_TRY_ASSIGN(Statement update, database_->prepare(others));
  update.bind(1, directory).bind(2, boot_id_).bind(3, row.id).bind(4, row.layer);
  bind_optional(update, 5, row.root_mtime);
  return update.run();
}

Result<std::vector<PackedLayer>> SnapshotIndex::blobs(int64_t layer) {
  KILN_TRY_ASSIGN(Statement query,
                  database_->prepare("SELECT digest, size, media_type, diff_id, level"
                                     " FROM snapshot_blobs WHERE layer = ?1 ORDER BY digest"));
  query.bind(1, layer);
  std::vector<PackedLayer> found;
  for (;;) {
    KILN_TRY_ASSIGN(const bool more, query.step());
    if (!more) return found;
    KILN_TRY_ASSIGN(const Digest digest, Digest::parse(query.text(0)));
    KILN_TRY_ASSIGN(const Digest diff_id, Digest::parse(query.text(3)));
    oci::Descriptor descriptor{
        query.text(2), digest, static_cast<uint64_t>(query.integer(1)), std::nullopt, {}};
    std::optional<int> level;
    if (!query.is_null(4)) level = static_cast<int>(query.integer(4));
    found.push_back({{std::move(descriptor), diff_id}, level});
  }
}

Status SnapshotIndex::add_blob(int64_t layer, const PackedLayer& packed) {
  KILN_TRY_ASSIGN(Statement add, database_->prepare("INSERT OR IGNORE INTO snapshot_blobs"
                                                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"));
  const oci::Descriptor& descriptor = packed.blob.descriptor;
  add.bind(1, layer).bind(2, descriptor.digest.to_string());
  add.bind(3, static_cast<int64_t>(descriptor.size)).bind(4, descriptor.media_type);
  add.bind(5, packed.blob.diff_id.to_string());
  if (packed.level) {
    add.bind(6, int64_t{*packed.level});
  } else {
    add.bind_null(6);
  }
  return add.run();
}

Status SnapshotIndex::forget_blob(int64_t layer, const Digest& blob) {
  KILN_TRY_ASSIGN(Statement remove, database_->prepare("DELETE FROM snapshot_blobs WHERE layer = ?1"
                                                       " AND digest = ?2"));
  return remove.bind(1, layer).bind(2, blob.to_string()).run();
}

Status SnapshotIndex::remove_row(int64_t id) {
  KILN_TRY_ASSIGN(Statement row, database_->prepare("DELETE FROM snapshots WHERE id = ?1"));
  KILN_TRY(row.bind(1, id).run());
  // A layer is named after the row that made it, which goes last (invariant 1).
  KILN_TRY_ASSIGN(Statement blobs,
                  database_->prepare("DELETE FROM snapshot_blobs WHERE layer = ?1"));
  return blobs.bind(1, id).run();
}

Result<std::vector<int64_t>> SnapshotIndex::remove(const std::vector<int64_t>& ids) {
  KILN_TRY_ASSIGN(const auto before, all());
  const std::set<int64_t> victims(ids.begin(), ids.end());
  std::set<int64_t> freed;
  std::set<int64_t> kept;
  for (const SnapshotRow& row : before)
    (victims.contains(row.id) ? freed : kept).insert(row.directory);
  for (const int64_t id : victims) KILN_TRY(remove_row(id));
  std::vector<int64_t> directories;
  for (const int64_t directory : freed) {
    if (directory != 0 && !kept.contains(directory)) directories.push_back(directory);
  }
  return directories;
}

Result<std::vector<int64_t>> SnapshotIndex::dependents(int64_t id) {
  KILN_TRY_ASSIGN(Statement query, database_->prepare("WITH RECURSIVE down(id) AS (SELECT ?1 UNION"
                                                      " SELECT s.id FROM down JOIN snapshots s"
                                                      " ON s.parent = down.id OR s.layer = down.id)"
                                                      " SELECT id FROM down"));
  query.bind(1, id);
  return numbers(std::move(query));
}

Result<std::vector<SnapshotRow>> SnapshotIndex::unsynced() {
  KILN_TRY_ASSIGN(Statement query,
                  database_->prepare("SELECT " KILN_SNAPSHOT_COLUMNS(
                      "s") " FROM snapshots s WHERE s.synced = 0 AND s.boot_id = ?1"));
  query.bind(1, boot_id_);
  return rows(std::move(query));
}

Status SnapshotIndex::mark_synced(const std::vector<SnapshotRow>& rows) {
  for (const SnapshotRow& row : rows) {
    // Only if it is still the directory that was on disk: another may have been unpacked since.
    KILN_TRY_ASSIGN(Statement update, database_->prepare("UPDATE snapshots SET synced = 1"
                                                         " WHERE id = ?1 AND directory = ?2"));
    KILN_TRY(update.bind(1, row.id).bind(2, row.directory).run());
  }
  return {};
}

namespace {
constexpr std::string_view kLost = " synced = 0 AND boot_id <> ?1 ";
}  // namespace

Result<bool> SnapshotIndex::has_lost() {
  KILN_TRY_ASSIGN(Statement query, database_->prepare("SELECT 1 FROM snapshots WHERE" +
                                                      std::string(kLost) + "LIMIT 1"));
  query.bind(1, boot_id_);
  return query.step();
}

Result<std::vector<int64_t>> SnapshotIndex::drop_lost() {
  return drop_where(kLost, [this](Statement& statement) { statement.bind(1, boot_id_); });
}

Result<std::vector<int64_t>> SnapshotIndex::drop_directory(int64_t directory) {
  return drop_where(" directory = ?1 ",
                    [directory](Statement& statement) { statement.bind(1, directory); });
}

Result<std::vector<int64_t>> SnapshotIndex::drop_where(std::string_view condition,
                                                       const Bind& bind) {
  const std::string lost(condition);
  KILN_TRY_ASSIGN(Statement directories,
                  database_->prepare("SELECT DISTINCT directory FROM snapshots WHERE directory <> 0"
                                     " AND" +
                                     lost));
  bind(directories);
  KILN_TRY_ASSIGN(const auto removed, numbers(std::move(directories)));
  KILN_TRY_ASSIGN(Statement revert,
                  database_->prepare("UPDATE snapshots SET directory = 0, synced = 1, size = NULL,"
                                     " root_mtime = NULL WHERE" +
                                     lost + "AND layer IN (SELECT layer FROM snapshot_blobs)"));
  bind(revert);
  KILN_TRY(revert.run());
  KILN_TRY_ASSIGN(Statement rest, database_->prepare("SELECT id FROM snapshots WHERE" + lost));
  bind(rest);
  KILN_TRY_ASSIGN(const auto victims, numbers(std::move(rest)));
  std::vector<int64_t> gone;
  for (const int64_t id : victims) {
    KILN_TRY_ASSIGN(const auto below, dependents(id));
    gone.insert(gone.end(), below.begin(), below.end());
  }
  KILN_TRY_ASSIGN(auto freed, remove(gone));
  freed.insert(freed.end(), removed.begin(), removed.end());
  std::sort(freed.begin(), freed.end());
  freed.erase(std::unique(freed.begin(), freed.end()), freed.end());
  return freed;
}

}  // namespace kiln::internal
