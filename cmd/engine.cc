#include "cmd/engine.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <mutex>

#include "base/fs.h"
#include "base/strings.h"
#include "snapshotter/mount.h"

namespace kiln::cmd {
namespace {

constexpr int64_t kRootVersion = 1;
constexpr size_t kMaxThreads = 512;  // they wait: for processes, sockets, other vertices

// What freeing space takes on a full disk: a lease, deleted rows, directories to move things to.
constexpr off_t kReserveBytes = 4 << 20;

// Made on the first run: a build without RUN needs neither a runtime nor a network.
class LazyExecutor : public Executor {
 public:
  explicit LazyExecutor(ExecutorConfig config) : config_(std::move(config)) {}
  Result<ExitInfo> run(const ExecRequest& request, std::stop_token stop) override {
    KILN_TRY_ASSIGN(Executor * executor, made());
    return executor->run(request, stop);
  }

 private:
  Result<Executor*> made() {
    const std::lock_guard hold(mutex_);
    if (!executor_) {
      KILN_TRY_ASSIGN(executor_, make_oci_executor(config_));
    }
    return executor_.get();
  }
  ExecutorConfig config_;
  std::mutex mutex_;  // executor_
  std::unique_ptr<Executor> executor_;
};

// Runtimes and sandboxes work elsewhere than kiln, so paths are made whole before they travel.
Result<std::string> absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, PATH_MAX> directory{};
  if (::getcwd(directory.data(), directory.size()) == nullptr)
    return fail_errno("find the working directory", "");
  return std::string(directory.data()) + "/" + path;
}

Status check_version(const std::string& root) {
  const std::string file = root + "/version";
  KILN_TRY_ASSIGN(const bool there, exists(file));
  if (!there) {
    KILN_TRY_ASSIGN(AtomicFile fresh, AtomicFile::create(file));
    KILN_TRY(fresh.write(std::to_string(kRootVersion) + "\n"));
    return fresh.commit();
  }
  KILN_TRY_ASSIGN(const std::string text, read_file(file, 64));
  const Result<int64_t> version = parse_int(trim(text));
  if (!version)
    return tl::unexpected(Error(Code::kDataLoss, "\"" + file + "\" does not hold a version number")
                              .hint("is this a kiln root? set KILN_ROOT or --root"));
  if (*version > kRootVersion)
    return tl::unexpected(Error(Code::kFailedPrecondition,
                                "the root \"" + root + "\" has format " + std::to_string(*version) +
                                    ", this kiln reads up to " + std::to_string(kRootVersion))
                              .hint("use a newer kiln, or another root with --root"));
  return {};
}

// Best effort: a disk without room for it has none to keep.
void keep_reserve(const std::string& file) {
  if (::access(file.c_str(), F_OK) == 0) return;
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.valid() && ::posix_fallocate(fd.get(), 0, kReserveBytes) != 0)
    (void)::unlink(file.c_str());  // as above
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const GlobalOptions& options, Need need,
                                             const std::string& search_path) {
  return open_with(options, need, search_path, Reserve::kKept);
}

Result<std::unique_ptr<Engine>> Engine::open_to_free(const GlobalOptions& options,
                                                     const std::string& search_path) {
  auto engine = open(options, Need::kBuild, search_path);
  if (engine || engine.error().code() != Code::kResourceExhausted) return engine;
  return open_with(options, Need::kBuild, search_path, Reserve::kGivenUp);
}

Result<std::unique_ptr<Engine>> Engine::open_with(const GlobalOptions& options, Need need,
                                                  const std::string& search_path, Reserve reserve) {
  KILN_CHECK(!options.root.empty());
  if (need == Need::kBuild) {
    if (Status entered = enter_private_mount_namespace(); !entered)
      return tl::unexpected(entered.error()
                                .wrap("enter a mount namespace")
                                .hint("run kiln as root; builds without root are not there yet"));
  }
  KILN_TRY_ASSIGN(std::string root, absolute_path(options.root));
  std::unique_ptr<Engine> engine(new Engine(std::move(root)));
  if (reserve == Reserve::kGivenUp)
    (void)::unlink(engine->layout_.reserve().c_str());  // whether it was there shows below
  KILN_TRY(make_dirs(engine->layout_.run()));
  KILN_TRY(check_version(engine->layout_.directory));
  if (reserve == Reserve::kKept) keep_reserve(engine->layout_.reserve());
  KILN_TRY(engine->open_stores());
  if (need == Need::kBuild) KILN_TRY(engine->open_build(options, search_path));
  return engine;
}

Status Engine::open_stores() {
  KILN_TRY_ASSIGN(database_, Database::open(layout_.database()));
  KILN_TRY_ASSIGN(leases_, oci::Leases::open(*database_, layout_.run() + "/leases"));
  KILN_TRY_ASSIGN(lease_, leases_->acquire());
  KILN_TRY_ASSIGN(content_, oci::LocalContentStore::open(*database_, *leases_, layout_.content()));
  KILN_TRY_ASSIGN(images_, oci::ImageStore::open(*database_));
  KILN_TRY_ASSIGN(cache_, LocalCacheStore::open(*database_, *lease_, layout_.run() + "/keys"));
  KILN_TRY_ASSIGN(downloads_, Downloads::open(*database_));
  return {};
}

// Directories of leases that have ended are what a killed process left: nothing is mounted in them,
// since its mounts went with its namespace.
Status Engine::open_scratch() {
  const std::string all = layout_.run() + "/scratch";
  KILN_TRY(make_dirs(all, 0700));
  uint64_t oldest = 0;
  const Status read = database_->write([&]() -> Status {
    KILN_TRY_ASSIGN(oldest, leases_->oldest_live());
    return {};
  });
  KILN_TRY(read);
  KILN_TRY_ASSIGN(const Root root, Root::open(all));
  KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_dir(root.fd()));
  for (const DirEntry& entry : entries) {
    const Result<int64_t> lease = parse_int(entry.name);
    if (lease && static_cast<uint64_t>(*lease) < oldest)
      KILN_TRY(remove_tree_at(root.fd(), entry.name));
  }
  scratch_ = all + "/" + std::to_string(lease_->sequence());
  return make_dirs(scratch_, 0700);
}

Engine::~Engine() {
  if (!scratch_.empty()) (void)remove_tree(scratch_);  // what stays is swept by the next engine
}

Status Engine::open_build(const GlobalOptions& options, const std::string& search_path) {
  KILN_TRY(open_scratch());
  SnapshotterConfig snapshots;
  snapshots.database = database_.get();
  snapshots.leases = leases_.get();
  snapshots.content = content_.get();
  snapshots.directory = layout_.snapshots();
  snapshots.scratch = scratch_;
  KILN_TRY_ASSIGN(snapshots_, make_snapshotter(snapshots, options.snapshotter));
  ExecutorConfig executor;
  executor.runtime = options.oci_runtime;
  if (executor.runtime.find('/') != std::string::npos) {
    KILN_TRY_ASSIGN(executor.runtime, absolute_path(executor.runtime));
  }
  executor.run_directory = layout_.run() + "/bundles";
  executor.search_path = search_path;
  executor_ = std::make_unique<LazyExecutor>(std::move(executor));
  workers_ = std::make_unique<WorkerPool>(kMaxThreads);
  return {};
}

}  // namespace kiln::cmd
