// The snapshotter's rows in kiln.db (FORMAT.md): which snapshots there are, how they stand on each
// other, which directories and blobs hold their layers. Knows nothing of what is in those. What
// changes rows must run inside Database::write; what reads several should.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/database.h"
#include "oci/descriptor.h"
#include "snapshotter/types.h"

namespace kiln::internal {

/// Invariants:
///  1. `parent` and `layer` name rows that are there: what takes a row away takes those with it
///     that stand on it.
///  2. A directory number is the id of the row that first had it; ids are never used again.
struct SnapshotRow {
  int64_t id = 0;
  int64_t parent = 0;     // 0: none
  int64_t layer = 0;      // whose changes these are: `id` itself, or what was restacked
  int64_t directory = 0;  // 0: lazy. Several rows of one layer may share it
  bool portable = false;  // the directory may serve on another parent too
  bool synced = false;    // the directory survives a power cut
  uint64_t used_seq = 0;
  std::optional<uint64_t> size_bytes;  // nullopt: not measured yet
  // What the directory's tree had as mtime when it was published, in nanoseconds; nullopt: not
  // noted.
  std::optional<int64_t> root_mtime;
  std::string description;
  int64_t created_seconds = 0;  // since 1970; insert() makes 0 the present
};

/// A packed form of a layer. `level`: what it was compressed with here; nullopt: by somebody else.
struct PackedLayer {
  oci::LayerBlob blob;
  std::optional<int> level;
};

enum class Portable : uint8_t { kNo, kYes };  // may a directory serve on another parent?

std::optional<int64_t> row_id(const SnapshotId& id);  // nullopt: no id that this index gives out
SnapshotId snapshot_id(int64_t row);

class SnapshotIndex {
 public:
  static Result<SnapshotIndex> open(Database& database);

  /// Root first, `id` last; empty if `id` or one it stands on is not there.
  Result<std::vector<SnapshotRow>> chain(int64_t id);
  Result<std::vector<SnapshotRow>> all();
  /// A row on `parent` with the layer of row `layer`; 0: none.
  Result<int64_t> find_restacked(int64_t parent, int64_t layer);
  /// A row on `parent` with a packed form of this diff ID; 0: none.
  Result<int64_t> find_layer(int64_t parent, const Digest& diff_id);
  /// `id` is ignored; `layer` 0 means the row's own. Returns the id.
  Result<int64_t> insert(const SnapshotRow& row);
  Status stamp(const std::vector<SnapshotRow>& rows, uint64_t used_seq);
  Status set_size(int64_t directory, uint64_t bytes);
  /// Gives a lazy row its directory; with `portable` set, also to the rows on other parents that
  /// lack one for this layer. Takes `root_mtime` from `row`.
  Status set_directory(const SnapshotRow& row, int64_t directory, Portable portable);

  Result<std::vector<PackedLayer>> blobs(int64_t layer);
  Status add_blob(int64_t layer, const PackedLayer& packed);
  Status forget_blob(int64_t layer, const Digest& blob);

  /// Takes rows away; returns the directories that nothing names any more.
  Result<std::vector<int64_t>> remove(const std::vector<int64_t>& ids);
  /// `id` and all that stands on it or shows its layer.
  Result<std::vector<int64_t>> dependents(int64_t id);

  /// Of this boot, not synced yet.
  Result<std::vector<SnapshotRow>> unsynced();
  Status mark_synced(const std::vector<SnapshotRow>& rows);
  Result<bool> has_lost();
  /// Directories that were not synced before the machine stopped: their rows become lazy if a blob
  /// holds the layer, else they go with their dependents. Returns the directories to remove.
  Result<std::vector<int64_t>> drop_lost();
  /// The same for one directory that turned out to be damaged or gone.
  Result<std::vector<int64_t>> drop_directory(int64_t directory);

 private:
  using Bind = std::function<void(Statement&)>;
  SnapshotIndex(Database& database, std::string boot_id)
      : database_(&database), boot_id_(std::move(boot_id)) {}
  Result<std::vector<SnapshotRow>> rows(Statement statement);
  Result<std::vector<int64_t>> numbers(Statement statement);
  Result<std::vector<int64_t>> drop_where(std::string_view condition, const Bind& bind);
  Status remove_row(int64_t id);

  Database* database_;
  std::string boot_id_;
};

}  // namespace kiln::internal
