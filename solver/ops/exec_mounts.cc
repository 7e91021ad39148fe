#include "solver/ops/exec_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "snapshotter/copy_tree.h"
#include "snapshotter/mount.h"
#include "solver/ops/directory_view.h"
#include "solver/ops/ssh_forward.h"

namespace kiln {
namespace {

/// A snapshot mounted read-only, or an empty directory in its place.
struct ReadOnlyTree {
  std::unique_ptr<SnapshotView> view;
  std::optional<MountedTree> mounted;  // after view: unmounted first
  std::optional<TempDir> empty;
  std::string path;
};

}  // namespace

struct ExecMounts::Held {
  std::vector<std::unique_ptr<WorkTree>> works;
  std::map<int, ReadOnlyTree> trees;         // by input
  std::map<std::string, CacheMount> caches;  // by id: one step mounts each once, at several places
  std::optional<TempDir> secret_directory;
  std::optional<MountPoint> secret_mount;
  int secrets = 0;
  std::vector<std::unique_ptr<SshForward>> agents;  // their sockets lie in secret_mount
};

ExecMounts::ExecMounts(const OpsEnvironment& environment, CacheMounts& caches,
                       std::span<const RefPtr> inputs, JobContext& job)
    : environment_(environment),
      caches_(caches),
      inputs_(inputs),
      job_(job),
      held_(std::make_unique<Held>()) {}

ExecMounts::~ExecMounts() = default;

Status ExecMounts::prepare(const llb::ExecOp& op) {
  std::vector<const llb::ExecMount*> ordered;
  for (const llb::ExecMount& mount : op.mounts) ordered.push_back(&mount);
  // Caches are locked in the order of their ids, so that two steps with the same ones cannot wait
  // for each other.
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) {
    const auto id = [](const llb::ExecMount& m) { return m.cache ? m.cache->id : std::string(); };
    return id(*a) < id(*b);
  });
  for (const llb::ExecMount* mount : ordered) KILN_TRY(add(*mount));
  std::stable_sort(
      mounts_.begin(), mounts_.end(),
      [](const SandboxMount& a, const SandboxMount& b) { return a.target < b.target; });
  return {};
}

Status ExecMounts::add(const llb::ExecMount& mount) {
  switch (mount.type) {
    case llb::MountType::kBind:
      return add_tree(mount);
    case llb::MountType::kCache:
      return add_cache(mount);
    case llb::MountType::kSecret:
      return add_secret(mount);
    case llb::MountType::kSsh:
      return add_ssh(mount);
    case llb::MountType::kTmpfs: {
      SandboxMount tmpfs;
      tmpfs.target = clean_path(mount.dest);
      tmpfs.tmpfs = true;
      tmpfs.tmpfs_size_bytes = mount.tmpfs_size_bytes;
      mounts_.push_back(std::move(tmpfs));
      return {};
    }
  }
  return fail(Code::kUnimplemented, "unknown mount type");
}

Result<TreeRef*> ExecMounts::input_tree(int input) const {
  if (input == llb::kNoIndex) return nullptr;
  return as_tree(*inputs_[static_cast<size_t>(input)]);
}

Result<std::string> ExecMounts::read_only_path(int input) {
  ReadOnlyTree& tree = held_->trees[input];
  if (!tree.path.empty()) return tree.path;
  std::optional<SnapshotId> id;
  KILN_TRY_ASSIGN(TreeRef * ref, input_tree(input));
  if (ref != nullptr) {
    KILN_TRY_ASSIGN(id, ref->snapshot(job_.stop));
  }
  if (!id) {
    KILN_TRY_ASSIGN(tree.empty, TempDir::create(environment_.scratch, "empty-"));
    if (::chmod(tree.empty->path().c_str(), 0755) != 0)
      return fail_errno("chmod", tree.empty->path());
    return tree.path = tree.empty->path();
  }
  KILN_TRY_ASSIGN(tree.view, environment_.snapshotter->view(*id, job_.stop));
  KILN_TRY_ASSIGN(tree.mounted, MountedTree::open(tree.view->mounts(), environment_.scratch));
  return tree.path = tree.mounted->path();
}

/// Written to and committed as an output, or written to and thrown away.
Result<std::string> ExecMounts::writable_path(const llb::ExecMount& mount) {
  KILN_TRY_ASSIGN(TreeRef * base, input_tree(mount.input));
  KILN_TRY_ASSIGN(auto work, WorkTree::create(environment_, base, job_.stop));
  if (mount.output != llb::kNoIndex) outputs_[mount.output] = work.get();
  held_->works.push_back(std::move(work));
  return held_->works.back()->path();
}

/// The path below `tree` that `selector` means, symlinks resolved inside it. Nobody else writes to
/// the tree, so what is resolved stays so.
Result<std::string> ExecMounts::select(const std::string& tree, const std::string& selector) const {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(selector));
  if (named.is_root()) return tree;
  KILN_TRY_ASSIGN(Root root, Root::open(tree));
  const DirectoryView view(std::move(root));
  KILN_TRY_ASSIGN(const RelPath path, resolve_in_tree(view, named, FollowLast::kYes));
  KILN_TRY_ASSIGN(const auto st, view.stat(path));
  if (!st) return fail(Code::kNotFound, quote(named.absolute()) + ": not found");
  return tree + path.absolute();
}

Status ExecMounts::add_tree(const llb::ExecMount& mount) {
  const bool is_root = clean_path(mount.dest) == "/";
  std::string path;
  const bool writes = !mount.read_only || mount.output != llb::kNoIndex;
  if (writes) {
    KILN_TRY_ASSIGN(path, writable_path(mount));
  } else {
    KILN_TRY_ASSIGN(path, read_only_path(mount.input));
  }
  KILN_TRY_ASSIGN(path, select(path, mount.selector));
  if (is_root) {
    rootfs_ = path;
    rootfs_read_only_ = mount.read_only;
    return {};
  }
  SandboxMount bind;
  bind.source = std::move(path);
  bind.target = clean_path(mount.dest);
  bind.read_only = mount.read_only;
  mounts_.push_back(std::move(bind));
  return {};
}

Status ExecMounts::fill_cache(const llb::ExecMount& mount, const std::string& path) {
  if (mount.input == llb::kNoIndex) return {};
  KILN_TRY_ASSIGN(const std::string tree, read_only_path(mount.input));
  KILN_TRY_ASSIGN(const std::string source, select(tree, mount.selector));
  KILN_TRY_ASSIGN(const Root from, Root::open(source));
  KILN_TRY_ASSIGN(const Root to, Root::open(path));
  return copy_tree(from, to, job_.stop);
}

Status ExecMounts::add_cache(const llb::ExecMount& mount) {
  if (!mount.cache) return fail(Code::kInvalidArgument, "a cache mount without its options");
  auto known = held_->caches.find(mount.cache->id);
  if (known == held_->caches.end()) {
    const FillCache fill = [&](const std::string& path) { return fill_cache(mount, path); };
    KILN_TRY_ASSIGN(CacheMount cache, caches_.acquire(*mount.cache, fill, job_.stop));
    known = held_->caches.emplace(mount.cache->id, std::move(cache)).first;
  }
  SandboxMount bind;
  bind.source = known->second.path;
  bind.target = clean_path(mount.dest);
  bind.read_only = mount.read_only;
  mounts_.push_back(std::move(bind));
  return {};
}

/// A tmpfs of our own: secrets never reach a disk.
Result<std::string> ExecMounts::secret_directory() {
  if (held_->secret_mount) return held_->secret_mount->path();
  KILN_TRY_ASSIGN(TempDir directory, TempDir::create(environment_.scratch, "secrets-"));
  held_->secret_directory.emplace(std::move(directory));
  const Mount tmpfs{"tmpfs", "tmpfs", {"nosuid", "nodev", "noexec", "mode=0700"}};
  KILN_TRY_ASSIGN(MountPoint mount, MountPoint::mount({tmpfs}, held_->secret_directory->path()));
  held_->secret_mount.emplace(std::move(mount));
  return held_->secret_mount->path();
}

Status ExecMounts::add_secret(const llb::ExecMount& mount) {
  if (!mount.secret) return fail(Code::kInvalidArgument, "a secret mount without its options");
  const llb::SecretMountOpt& secret = *mount.secret;
  KILN_TRY_ASSIGN(const auto value, read_secret(environment_, secret.id,
                                                secret.optional ? Optional::kYes : Optional::kNo));
  if (!value) return {};
  KILN_TRY_ASSIGN(const std::string directory, secret_directory());
  const std::string path = directory + "/" + std::to_string(held_->secrets++);
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!file.valid()) return fail_errno("create", "a secret's file");
  KILN_TRY(write_fully(file.get(), std::as_bytes(std::span(value->data(), value->size())),
                       "a secret's file"));
  if (::fchown(file.get(), secret.uid, secret.gid) != 0 ||
      ::fchmod(file.get(), secret.mode & 07777U) != 0)
    return fail_errno("set owner and mode of", "a secret's file");
  SandboxMount bind;
  bind.source = path;
  bind.target = clean_path(mount.dest);
  bind.read_only = true;
  bind.options = {"nosuid", "nodev", "noexec"};
  mounts_.push_back(std::move(bind));
  return {};
}

Status ExecMounts::add_ssh(const llb::ExecMount& mount) {
  if (!mount.ssh) return fail(Code::kInvalidArgument, "an ssh mount without its options");
  const std::string id = mount.ssh->id.empty() ? "default" : mount.ssh->id;
  const auto socket = environment_.ssh_sockets.find(id);
  if (socket == environment_.ssh_sockets.end()) {
    if (mount.ssh->optional) return {};
    return tl::unexpected(Error(Code::kNotFound, "no SSH agent is given as " + quote(id))
                              .hint("give one with --ssh " + id));
  }
  KILN_TRY_ASSIGN(const std::string directory, secret_directory());
  const std::string path = directory + "/" + std::to_string(held_->secrets++);
  const SocketAccess access{mount.ssh->uid, mount.ssh->gid, mount.ssh->mode};
  KILN_TRY_ASSIGN(auto agent, SshForward::start(path, socket->second, access));
  held_->agents.push_back(std::move(agent));
  SandboxMount bind;
  bind.source = path;
  bind.target = clean_path(mount.dest);
  mounts_.push_back(std::move(bind));
  return {};
}

Result<std::vector<RefPtr>> ExecMounts::commit() {
  held_->caches.clear();
  std::vector<RefPtr> refs;
  for (const auto& [output, work] : outputs_) {
    const size_t index = static_cast<size_t>(output);
    if (refs.size() <= index) refs.resize(index + 1);
    KILN_TRY_ASSIGN(refs[index], work->commit());
  }
  return refs;
}

Result<std::optional<std::string>> read_secret(const OpsEnvironment& environment,
                                               const std::string& id, Optional optional) {
  const auto provider = environment.secrets.find(id);
  if (provider != environment.secrets.end()) {
    auto value = provider->second();
    if (value) return std::optional<std::string>(*std::move(value));
    return tl::unexpected(value.error().wrap("read the secret " + quote(id)));
  }
  if (optional == Optional::kYes) return std::nullopt;
  return tl::unexpected(Error(Code::kNotFound, "secret " + id + ": not found")
                            .hint("give it with --secret id=" + id + ",src=FILE"));
}

}  // namespace kiln
