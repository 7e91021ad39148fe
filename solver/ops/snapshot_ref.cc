#include "solver/ops/snapshot_ref.h"

#include <sys/stat.h>

#include "snapshotter/mount.h"
#include "solver/ops/directory_view.h"

namespace kiln {
namespace {

/// Keeps the snapshot and its mount for as long as somebody looks.
class SnapshotTreeView : public DirectoryView {
 public:
  SnapshotTreeView(std::unique_ptr<SnapshotView> held, MountedTree tree, Root root)
      : DirectoryView(std::move(root)), held_(std::move(held)), tree_(std::move(tree)) {}

 private:
  std::unique_ptr<SnapshotView> held_;
  MountedTree tree_;
};

class EmptyTreeView : public DirectoryView {
 public:
  EmptyTreeView(TempDir directory, Root root)
      : DirectoryView(std::move(root)), directory_(std::move(directory)) {}

 private:
  TempDir directory_;
};

}  // namespace

Result<std::optional<CacheResult>> SnapshotRef::cache_result() {
  CacheResult result;
  result.local_ref = id_.value;
  result.created = created_;
  return result;
}

Result<std::optional<SnapshotId>> SnapshotRef::snapshot(std::stop_token /*stop*/) {
  return id_;
}

Result<std::unique_ptr<TreeView>> SnapshotRef::open(std::stop_token stop) {
  KILN_TRY_ASSIGN(auto held, snapshotter_.view(id_, std::move(stop)));
  KILN_TRY_ASSIGN(MountedTree tree, MountedTree::open(held->mounts(), scratch_));
  KILN_TRY_ASSIGN(Root root, tree.root().sub_root(RelPath()));
  return std::make_unique<SnapshotTreeView>(std::move(held), std::move(tree), std::move(root));
}

Result<std::optional<CacheResult>> EmptyRef::cache_result() {
  CacheResult result;
  result.empty_tree = true;
  result.created = created_;
  return result;
}

Result<std::optional<SnapshotId>> EmptyRef::snapshot(std::stop_token /*stop*/) {
  return std::nullopt;
}

Result<std::unique_ptr<TreeView>> EmptyRef::open(std::stop_token /*stop*/) {
  KILN_TRY_ASSIGN(TempDir directory, TempDir::create(scratch_, "empty-"));
  if (::chmod(directory.path().c_str(), 0755) != 0) return fail_errno("chmod", directory.path());
  KILN_TRY_ASSIGN(Root root, Root::open(directory.path()));
  return std::make_unique<EmptyTreeView>(std::move(directory), std::move(root));
}

RefPtr make_snapshot_ref(Snapshotter& snapshotter, const std::optional<SnapshotId>& id,
                         const std::string& scratch, Timestamp created) {
  if (!id) return std::make_shared<EmptyRef>(scratch, created);
  return std::make_shared<SnapshotRef>(snapshotter, *id, scratch, created);
}

}  // namespace kiln
