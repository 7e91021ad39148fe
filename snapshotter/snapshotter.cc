#include "snapshotter/snapshotter.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/disk_usage.h"
#include "snapshotter/snapshot_store.h"

namespace kiln::internal {

class StoredActive : public ActiveSnapshot {
 public:
  struct Parts {
    std::string directory;  // in the work area; empty once committed
    Ancestors below;
    int64_t parent;  // 0: none
    uint64_t used_seq;
  };
  StoredActive(SnapshotStore& store, Parts parts) : store_(store), parts_(std::move(parts)) {
    if (parts_.parent != 0) store_.pin(parts_.parent);
  }
  ~StoredActive() override {
    if (!parts_.directory.empty()) store_.area_->discard(parts_.directory);
    if (parts_.parent != 0) store_.unpin(parts_.parent);
  }

  Status start(const std::stop_token& stop) {
    KILN_TRY(store_.kind_->start(parts_.directory, parts_.below, stop));
    KILN_TRY_ASSIGN(mounts_, store_.kind_->writable(parts_.directory, parts_.below));
    return {};
  }
  const std::vector<Mount>& mounts() const override { return mounts_; }

  Result<SnapshotId> commit() override {
    if (parts_.directory.empty())
      return fail(Code::kFailedPrecondition, "this snapshot is committed already");
    KILN_TRY(store_.kind_->finish(parts_.directory, parts_.below));
    auto id = store_.commit(parts_.directory, parts_.parent, parts_.used_seq);
    if (id) parts_.directory.clear();
    return id;
  }

 private:
  SnapshotStore& store_;
  Parts parts_;
  std::vector<Mount> mounts_;
};

class StoredView : public SnapshotView {
 public:
  // Pins before the snapshot is looked up: a removal either sees the pin or has been seen.
  StoredView(SnapshotStore& store, int64_t id) : store_(store), id_(id) { store_.pin(id_); }
  ~StoredView() override { store_.unpin(id_); }
  Status start(const SnapshotId& id, const std::stop_token& stop) {
    KILN_TRY_ASSIGN(SnapshotStore::Chain chain, store_.load(id, nullptr));
    KILN_TRY(store_.unpack_lazy(chain, stop));
    KILN_TRY_ASSIGN(mounts_, store_.kind_->readable(store_.directories_of(chain)));
    return {};
  }
  const std::vector<Mount>& mounts() const override { return mounts_; }

 private:
  SnapshotStore& store_;
  int64_t id_;
  std::vector<Mount> mounts_;
};

namespace {

tl::unexpected<Error> no_such_snapshot(const SnapshotId& id) {
  return fail(Code::kNotFound, "there is no snapshot \"" + id.value + "\"");
}

int64_t last_id(const std::vector<SnapshotRow>& chain) {
  return chain.empty() ? 0 : chain.back().id;
}

}  // namespace

Result<std::unique_ptr<Snapshotter>> SnapshotStore::open(const SnapshotterConfig& config,
                                                         std::unique_ptr<TreeKind> kind) {
  KILN_TRY(make_dirs(config.directory + "/locks", 0700));
  KILN_TRY_ASSIGN(auto area, WorkArea::open(config.directory));
  KILN_TRY_ASSIGN(SnapshotIndex index, SnapshotIndex::open(*config.database));
  std::unique_ptr<SnapshotStore> store(
      new SnapshotStore(config, std::move(kind), std::move(index), std::move(area)));
  KILN_TRY(store->drop_lost());
  return store;
}

std::string SnapshotStore::lock_path(int64_t layer, const char* purpose) const {
  return directory_ + "/locks/" + std::to_string(layer) + "." + purpose;
}

Ancestors SnapshotStore::directories_of(const Chain& chain) const {
  Ancestors directories;
  for (const SnapshotRow& row : chain) {
    KILN_CHECK(row.directory != 0);
    directories.push_back(path_of(row.directory));
  }
  return directories;
}

void SnapshotStore::pin(int64_t id) {
  ++(*pins_.lock())[id];
}

void SnapshotStore::unpin(int64_t id) {
  auto pins = pins_.lock();
  const auto found = pins->find(id);
  if (found != pins->end() && --found->second == 0) pins->erase(found);
}

Result<SnapshotStore::Chain> SnapshotStore::load_in_transaction(int64_t id,
                                                                const oci::Lease* lease) {
  KILN_TRY_ASSIGN(Chain chain, index_.chain(id));
  KILN_TRY_ASSIGN(const bool damaged, drop_damaged(chain));
  if (damaged) {
    KILN_TRY_ASSIGN(chain, index_.chain(id));
  }
  if (lease == nullptr) return chain;
  KILN_TRY(index_.stamp(chain, lease->sequence()));
  // What is absent shows when it is read.
  KILN_TRY(touch_lazy(chain, *lease));
  return chain;
}

// One stat for each directory and process tells whether it is still there and holds the same names
// at its top. Damage further down would take a walk to see, on every build. What is dropped here
// but still lies on disk goes with the next removal of orphans.
Result<bool> SnapshotStore::drop_damaged(const Chain& chain) {
  bool damaged = false;
  for (const SnapshotRow& row : chain) {
    if (row.directory == 0 || intact_.lock()->contains(row.directory)) continue;
    KILN_TRY_ASSIGN(const auto found, root_mtime(path_of(row.directory)));
    if (found && (!row.root_mtime || is_same_root_mtime(*row.root_mtime, *found))) {
      intact_.lock()->insert(row.directory);
      continue;
    }
    damaged = true;
    KILN_TRY(index_.drop_directory(row.directory));
  }
  return damaged;
}

Result<SnapshotStore::Chain> SnapshotStore::find(const SnapshotId& id) {
  const auto row = row_id(id);
  if (!row) return no_such_snapshot(id);
  KILN_TRY_ASSIGN(Chain chain, index_.chain(*row));
  if (chain.empty()) return no_such_snapshot(id);
  return chain;
}

Result<SnapshotStore::Chain> SnapshotStore::load(const std::optional<SnapshotId>& id,
                                                 const oci::Lease* lease) {
  if (!id) return Chain();
  const auto row = row_id(*id);
  if (!row) return no_such_snapshot(*id);
  Chain chain;
  const auto body = [&]() -> Status {
    KILN_TRY_ASSIGN(chain, load_in_transaction(*row, lease));
    return {};
  };
  KILN_TRY(database_.write(body));
  if (chain.empty()) return no_such_snapshot(*id);
  return chain;
}

Result<std::unique_ptr<ActiveSnapshot>> SnapshotStore::prepare(
    const std::optional<SnapshotId>& parent, const oci::Lease& lease, std::stop_token stop) {
  KILN_TRY_ASSIGN(Chain chain, load(parent, &lease));
  KILN_TRY(unpack_lazy(chain, stop));
  KILN_TRY_ASSIGN(std::string directory, area_->fresh());
  auto active = std::make_unique<StoredActive>(
      *this, StoredActive::Parts{std::move(directory), directories_of(chain), last_id(chain),
                                 lease.sequence()});
  KILN_TRY(active->start(stop));
  return active;
}

Status SnapshotStore::publish(const std::string& made, int64_t number) {
  const std::string target = path_of(number);
  if (std::rename(made.c_str(), target.c_str()) == 0) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("publish snapshot", target);
  // Left by a process that died between this rename and its commit: the number was given out anew,
  // so no row names what is there.
  KILN_TRY_ASSIGN(const std::string aside, area_->take(target));
  if (std::rename(made.c_str(), target.c_str()) != 0) return fail_errno("publish snapshot", target);
  area_->discard(aside);
  return {};
}

Result<SnapshotId> SnapshotStore::commit(const std::string& directory, int64_t parent,
                                         uint64_t used_seq) {
  int64_t id = 0;
  KILN_TRY_ASSIGN(const auto mtime, root_mtime(directory));
  const auto body = [&]() -> Status {
    if (parent != 0) {
      KILN_TRY_ASSIGN(const Chain below, index_.chain(parent));
      if (below.empty()) return no_such_snapshot(snapshot_id(parent));
    }
    SnapshotRow row;
    row.parent = parent;
    row.portable = true;
    row.used_seq = used_seq;
    KILN_TRY_ASSIGN(id, index_.insert(row));
    row.id = row.layer = id;
    row.root_mtime = mtime;
    KILN_TRY(index_.set_directory(row, id, Portable::kYes));
    return publish(directory, id);
  };
  KILN_TRY(database_.write(body));
  intact_.lock()->insert(id);
  return snapshot_id(id);
}

Result<std::unique_ptr<SnapshotView>> SnapshotStore::view(const SnapshotId& id,
                                                          std::stop_token stop) {
  const auto row = row_id(id);
  if (!row) return no_such_snapshot(id);
  auto view = std::make_unique<StoredView>(*this, *row);
  KILN_TRY(view->start(id, stop));
  return view;
}

Result<SnapshotId> SnapshotStore::add_layer(const std::optional<SnapshotId>& parent,
                                            const oci::LayerBlob& layer, const oci::Lease& lease,
                                            std::optional<std::chrono::sys_seconds> made) {
  KILN_TRY_ASSIGN(const Chain chain, load(parent, &lease));
  KILN_TRY_ASSIGN(const bool present, content_.touch(layer.descriptor.digest, lease));
  if (!present) {
    return fail(Code::kNotFound, "layer blob " + layer.descriptor.digest.to_string() +
                                     " is not in the content store");
  }
  int64_t id = 0;
  const auto body = [&]() -> Status {
    KILN_TRY_ASSIGN(id, index_.find_layer(last_id(chain), layer.diff_id));
    if (id == 0) {
      SnapshotRow row;
      row.parent = last_id(chain);
      row.synced = true;  // it has no directory to lose
      row.used_seq = lease.sequence();
      row.description = "layer " + layer.diff_id.to_string();
      if (made) row.created_seconds = made->time_since_epoch().count();
      KILN_TRY_ASSIGN(id, index_.insert(row));
    }
    KILN_TRY_ASSIGN(const Chain found, load_in_transaction(id, &lease));
    if (found.empty()) return fail(Code::kInternal, "the new snapshot's parents are gone");
    return index_.add_blob(found.back().layer, {layer, std::nullopt});
  };
  KILN_TRY(database_.write(body));
  return snapshot_id(id);
}

Result<bool> SnapshotStore::shares_directory(int64_t parent, const SnapshotRow& source) {
  if (source.directory == 0 || !source.portable || !kind_->can_share()) return false;
  // What was made on nothing deletes nothing.
  if (source.parent == 0) return true;
  // A bottom layer is shown as it lies, so it must not hold whiteouts.
  if (parent == 0) return false;
  KILN_TRY_ASSIGN(const bool hides, kind_->hides_unnamed(path_of(source.directory)));
  return !hides;
}

Result<SnapshotId> SnapshotStore::insert_restacked(int64_t parent, const SnapshotRow& source,
                                                   bool shares, const oci::Lease& lease) {
  int64_t id = 0;
  const auto body = [&]() -> Status {
    KILN_TRY_ASSIGN(id, index_.find_restacked(parent, source.layer));
    if (id != 0) {
      KILN_TRY(load_in_transaction(id, &lease));
      return {};
    }
    SnapshotRow row;
    row.parent = parent;
    row.layer = source.layer;
    row.directory = shares ? source.directory : 0;
    row.portable = shares;
    row.synced = !shares || source.synced;
    row.used_seq = lease.sequence();
    row.size_bytes = shares ? source.size_bytes : std::nullopt;
    row.root_mtime = shares ? source.root_mtime : std::nullopt;
    row.description = source.description;
    KILN_TRY_ASSIGN(id, index_.insert(row));
    return {};
  };
  KILN_TRY(database_.write(body));
  return snapshot_id(id);
}

Result<SnapshotId> SnapshotStore::restack(const std::optional<SnapshotId>& parent,
                                          const SnapshotId& layer_of, const oci::Lease& lease) {
  KILN_TRY_ASSIGN(const Chain below, load(parent, &lease));
  KILN_TRY_ASSIGN(const Chain from, load(layer_of, &lease));
  const SnapshotRow& source = from.back();
  KILN_TRY_ASSIGN(const bool shares, shares_directory(last_id(below), source));
  if (!shares && source.directory != 0) {
    // Another directory must be made from a blob, so there has to be one.
    KILN_TRY(layer_blob(layer_of, {}, lease, {}));
  }
  return insert_restacked(last_id(below), source, shares, lease);
}

Result<SnapshotFacts> SnapshotStore::facts(const SnapshotId& id) {
  KILN_TRY_ASSIGN(const Chain chain, find(id));
  const SnapshotRow& row = chain.back();
  SnapshotFacts facts;
  if (row.parent != 0) facts.parent = snapshot_id(row.parent);
  facts.has_directory = row.directory != 0;
  if (facts.has_directory) facts.directory = std::to_string(row.directory);
  facts.description = row.description;
  facts.created = std::chrono::sys_seconds(std::chrono::seconds(row.created_seconds));
  KILN_TRY_ASSIGN(const auto packed, index_.blobs(row.layer));
  for (const PackedLayer& layer : packed) facts.blobs.push_back(layer.blob);
  if (row.directory == 0) return facts;
  if (row.size_bytes) {
    facts.size_bytes = *row.size_bytes;
    return facts;
  }
  KILN_TRY_ASSIGN(facts.size_bytes, disk_usage(path_of(row.directory)));
  KILN_TRY(database_.write([&] { return index_.set_size(row.directory, facts.size_bytes); }));
  return facts;
}

Result<std::vector<SnapshotId>> SnapshotStore::chain(const SnapshotId& id) {
  KILN_TRY_ASSIGN(const Chain chain, find(id));
  std::vector<SnapshotId> ids;
  for (const SnapshotRow& row : chain) ids.push_back(snapshot_id(row.id));
  return ids;
}

Result<bool> SnapshotStore::touch_lazy(const Chain& chain, const oci::Lease& lease) {
  for (const SnapshotRow& row : chain) {
    if (row.directory != 0) continue;
    KILN_TRY_ASSIGN(const auto packed, index_.blobs(row.layer));
    bool present = false;
    for (const PackedLayer& layer : packed) {
      KILN_TRY_ASSIGN(const bool kept, content_.touch(layer.blob.descriptor.digest, lease));
      present = present || kept;
    }
    if (!present) return false;
  }
  return true;
}

Result<bool> SnapshotStore::touch(const SnapshotId& id, const oci::Lease& lease) {
  const auto row = row_id(id);
  if (!row) return false;
  bool present = false;
  const auto body = [&]() -> Status {
    KILN_TRY_ASSIGN(const Chain chain, load_in_transaction(*row, &lease));
    if (chain.empty()) return {};
    KILN_TRY_ASSIGN(present, touch_lazy(chain, lease));
    return {};
  };
  KILN_TRY(database_.write(body));
  return present;
}

}  // namespace kiln::internal
