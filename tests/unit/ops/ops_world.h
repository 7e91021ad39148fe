// A store of its own for tests of operations: content, snapshots (the copying kind, so that nothing
// is mounted), a fake executor, and a way to run one vertex by hand.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/fs.h"
#include "oci/lease.h"
#include "oci/local_content_store.h"
#include "snapshotter/overlay.h"
#include "solver/ops/ops.h"
#include "solver/ops/tree_ref.h"
#include "tests/fakes/fake_executor.h"
#include "tests/fakes/tree_text.h"

namespace kiln::fake {

class RecordingProgress : public ProgressSink {
 public:
  void on_event(const Event& event) noexcept override {
    if (const auto* chunk = std::get_if<LogChunk>(&event)) log += chunk->bytes;
  }
  std::string log;
};

class OpsWorld : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "snapshots keep owners: needs root";
    directory_ = std::make_unique<TempDir>(TempDir::create("/tmp", "kiln-ops-").value());
    const std::string root = directory_->path();
    for (const char* name : {"/scratch", "/context"}) ASSERT_TRUE(make_dirs(root + name));
    database_ = Database::open(root + "/kiln.db").value();
    leases_ = oci::Leases::open(*database_, root + "/leases").value();
    lease_ = leases_->acquire().value();
    content_ = oci::LocalContentStore::open(*database_, *leases_, root + "/content").value();
    images_ = oci::ImageStore::open(*database_).value();
    snapshots_ = make_copying_snapshotter({database_.get(), leases_.get(), content_.get(),
                                           root + "/snapshots", root + "/scratch"})
                     .value();
    environment_.snapshotter = snapshots_.get();
    environment_.content = content_.get();
    environment_.lease = lease_.get();
    environment_.executor = &executor_;
    environment_.images.content = content_.get();
    environment_.images.lease = lease_.get();
    environment_.images.images = images_.get();
    environment_.cache_mount_directory = root + "/cachemounts";
    environment_.scratch = root + "/scratch";
    environment_.contexts["context"] = LocalContext{context(), {}, ".dockerignore", ""};
    factory_ = make_ops(environment_);
  }

  std::string context() const { return directory_->path() + "/context"; }

  static llb::Vertex vertex(llb::Op op, size_t inputs) {
    return {
        std::move(op), std::vector<llb::Output>(inputs), std::nullopt, Digest::of("vertex"), {}};
  }

  Result<std::vector<RefPtr>> execute(const llb::Vertex& one, const std::vector<RefPtr>& inputs,
                                      OutputUse use = OutputUse::kInput) {
    KILN_TRY_ASSIGN(const auto operation, factory_(one));
    JobContext job{{}, progress_, one.digest, use};
    KILN_TRY(operation->cache_map(job));
    return operation->execute(inputs, job);
  }

  Result<CacheMap> cache_map(const llb::Vertex& one) {
    KILN_TRY_ASSIGN(const auto operation, factory_(one));
    JobContext job{{}, progress_, one.digest, OutputUse::kInput};
    return operation->cache_map(job);
  }

  Result<Digest> content_key(const llb::Vertex& one, size_t input, const RefPtr& ref) {
    KILN_TRY_ASSIGN(const auto operation, factory_(one));
    JobContext job{{}, progress_, one.digest, OutputUse::kInput};
    return operation->content_key(input, *ref, job);
  }

  /// The local directory as a vertex's result.
  RefPtr context_ref(std::map<std::string, std::string> attrs = {}) {
    return execute(vertex(llb::SourceOp{"local://context", std::move(attrs)}, 0), {})
        .value()
        .front();
  }

  /// A snapshot that holds `tree`.
  RefPtr snapshot_of(const std::string& tree) {
    auto active = snapshots_->prepare(std::nullopt, *lease_, {}).value();
    make_tree(active->mounts().front().source, tree);
    const SnapshotId id = active->commit().value();
    CacheResult result;
    result.local_ref = id.value;
    return make_loader(environment_)(result).value();
  }

  std::string listing(const RefPtr& ref) {
    auto view = as_tree(*ref).value()->open({});
    if (!view) return view.error().to_string();
    std::string path(4096, '\0');
    const std::string link = "/proc/self/fd/" + std::to_string((*view)->root().fd());
    path.resize(static_cast<size_t>(::readlink(link.c_str(), path.data(), path.size())));
    return list_tree(path);
  }

  std::unique_ptr<TempDir> directory_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<oci::Leases> leases_;
  std::unique_ptr<oci::Lease> lease_;
  std::unique_ptr<oci::LocalContentStore> content_;
  std::unique_ptr<oci::ImageStore> images_;
  std::unique_ptr<Snapshotter> snapshots_;
  FakeExecutor executor_;
  RecordingProgress progress_;
  OpsEnvironment environment_;
  OpFactory factory_;
};

}  // namespace kiln::fake
