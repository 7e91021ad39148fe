// A root with one snapshotter of either kind, for the contract suite: what a build does with
// snapshots in few words.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "oci/local_content_store.h"
#include "snapshotter/mount.h"
#include "snapshotter/overlay.h"
#include "tests/fakes/layer_text.h"
#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {

/// Counts what is written; everything else goes to the real store.
class CountingContent : public oci::ContentStore {
 public:
  explicit CountingContent(oci::ContentStore& real) : real_(real) {}
  Result<std::optional<uint64_t>> size(const Digest& blob) override { return real_.size(blob); }
  Result<std::unique_ptr<Source>> open(const Digest& blob) override { return real_.open(blob); }
  Result<Fd> open_fd(const Digest& blob) override { return real_.open_fd(blob); }
  Result<std::unique_ptr<oci::BlobWriter>> writer(const oci::Lease& lease) override {
    ++writers;
    return real_.writer(lease);
  }
  Result<bool> touch(const Digest& blob, const oci::Lease& lease) override {
    return real_.touch(blob, lease);
  }
  Result<uint64_t> remove_unreferenced(const std::vector<Digest>& keep, uint64_t before) override {
    return real_.remove_unreferenced(keep, before);
  }
  std::atomic<int> writers = 0;

 private:
  oci::ContentStore& real_;
};

class SnapshotterUnderTest {
 public:
  using Fill = std::function<void(const fake::TreeMaker&)>;

  /// "overlay", "copy", or "overlay-userxattr": as roots are inside user namespaces.
  explicit SnapshotterUnderTest(std::string kind) : kind_(std::move(kind)) {
    if (kind_ == "overlay-userxattr") {
      fake::must(make_dirs(directory()));
      fake::must(write_file(directory() + "/kind", kind_));
      kind_ = "overlay";
    }
    open();
  }

  /// As another process would find the root: everything opened anew.
  void open() {
    lease.reset();
    snapshots.reset();
    content.reset();
    local_content_.reset();
    leases.reset();
    database.reset();
    database = fake::must(Database::open(root.path() + "/kiln.db"));
    leases = fake::must(oci::Leases::open(*database, root.path() + "/leases"));
    local_content_ =
        fake::must(oci::LocalContentStore::open(*database, *leases, root.path() + "/content"));
    content = std::make_unique<CountingContent>(*local_content_);
    snapshots = another();
    lease = fake::must(leases->acquire());
  }
  SnapshotterConfig config() {
    return {database.get(), leases.get(), content.get(), directory(), root.path() + "/run"};
  }
  std::unique_ptr<Snapshotter> another() { return fake::must(make_snapshotter(config(), kind_)); }
  std::string directory() const { return root.path() + "/snapshots"; }

  /// Prepares, mounts, fills, unmounts, commits.
  SnapshotId make(const std::optional<SnapshotId>& parent, const Fill& fill) {
    auto active = fake::must(snapshots->prepare(parent, *lease, {}));
    {
      const TempDir target = fake::must(TempDir::create(root.path(), "target-"));
      const MountPoint mount = fake::must(MountPoint::mount(active->mounts(), target.path()));
      fill(fake::TreeMaker(target.path()));
    }
    return fake::must(active->commit());
  }
  /// The tree as text, without its root.
  std::string text(const SnapshotId& id) { return text(*snapshots, id); }
  std::string text(Snapshotter& from, const SnapshotId& id) {
    const auto view = fake::must(from.view(id, {}));
    const auto tree = fake::must(MountedTree::open(view->mounts(), root.path()));
    const std::string all = fake::tree_text(tree.path());
    return all.substr(all.find('\n') + 1);
  }
  std::string root_text(const SnapshotId& id) {
    const auto view = fake::must(snapshots->view(id, {}));
    const auto tree = fake::must(MountedTree::open(view->mounts(), root.path()));
    const std::string all = fake::tree_text(tree.path());
    return all.substr(0, all.find('\n'));
  }
  /// Paths only.
  std::string names(const SnapshotId& id) {
    std::string found;
    const std::string all = text(id);
    for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) {
      found += (found.empty() ? "" : " ") + all.substr(at, all.find(' ', at) - at);
    }
    return found;
  }
  oci::LayerBlob blob(const SnapshotId& id,
                      oci::Compression type = oci::Compression::kUncompressed) {
    return fake::must(snapshots->layer_blob(id, {type, -1}, *lease, {}));
  }
  std::string tar(const SnapshotId& id) {
    return fake::must(oci::read_blob(*content, blob(id).descriptor.digest, 1U << 30U));
  }
  /// A tar as a layer in the content store.
  oci::LayerBlob store(const std::string& tar) {
    const Digest digest = fake::must(oci::write_blob(*content, *lease, tar));
    const auto type = std::string(oci::media_type::kLayerTar);
    return {{type, digest, tar.size(), std::nullopt, {}}, digest};
  }
  SnapshotId add(const std::optional<SnapshotId>& parent, fake::LayerMaker layer) {
    return fake::must(snapshots->add_layer(parent, store(layer.take()), *lease));
  }
  /// Its file is gone behind everybody's back.
  void lose(const Digest& blob) {
    fake::must(remove_tree(root.path() + "/content/blobs/sha256/" + blob.hex()));
  }
  void power_cut() {
    fake::must(database->execute("UPDATE snapshots SET boot_id = 'another'"));
    open();
  }
  void end_lease() { lease.reset(); }

  TempDir root = fake::must(TempDir::create("/tmp", "snapshots-"));
  std::unique_ptr<Database> database;
  std::unique_ptr<oci::Leases> leases;
  std::unique_ptr<CountingContent> content;
  std::unique_ptr<Snapshotter> snapshots;
  std::unique_ptr<oci::Lease> lease;

 private:
  std::string kind_;
  std::unique_ptr<oci::LocalContentStore> local_content_;
};

/// Parameter: the kind.
class SnapshotterContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const TempDir target = fake::must(TempDir::create("/tmp", "mount-"));
    const Mount bind{"bind", target.path(), {"rw"}};
    if (const auto mounted = MountPoint::mount({bind}, target.path()); !mounted)
      GTEST_SKIP() << mounted.error().to_string();
    under_test_ = std::make_unique<SnapshotterUnderTest>(GetParam());
  }
  SnapshotterUnderTest& root() { return *under_test_; }
  Snapshotter& snapshots() { return *under_test_->snapshots; }

 private:
  std::unique_ptr<SnapshotterUnderTest> under_test_;
};

}  // namespace kiln
