#include "snapshotter/overlay.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/workers.h"
#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"
#include "snapshotter/mount.h"
#include "snapshotter/overlay_options.h"
#include "snapshotter/tree_kind.h"

namespace kiln::internal {
namespace {

constexpr std::string_view kTrusted = "trusted.overlay.";
constexpr std::string_view kUser = "user.overlay.";
constexpr size_t kMaxLayers = 500;  // of the kernel, OVL_MAX_STACK

std::string work_of(const std::string& directory) {
  return directory + "/work";
}

std::vector<std::string> trees_of(const Ancestors& directories) {
  std::vector<std::string> trees;
  for (const std::string& directory : directories) trees.push_back(tree_of(directory));
  return trees;
}

Status check_depth(size_t layers) {
  if (layers <= kMaxLayers) return {};
  return tl::unexpected(Error(Code::kResourceExhausted, "a chain of " + std::to_string(layers) +
                                                            " layers: overlayfs stacks at most " +
                                                            std::to_string(kMaxLayers))
                            .hint("join RUN steps, or start a new stage and COPY what it needs"));
}

Mount overlay_mount(const OverlayDirs& dirs, std::string_view xattrs) {
  Mount mount{"overlay", "overlay", overlay_options(dirs)};
  // Whatever the kernel's defaults are. With redirects, metacopy or an index, an upper directory
  // could not be read as a layer; and a directory made in a merged one would be marked opaque.
  mount.options.emplace_back("index=off");
  if (xattrs == kUser) {
    mount.options.emplace_back("userxattr");  // switches the other two off, and bears no mention
  } else {
    mount.options.emplace_back("redirect_dir=off");
    mount.options.emplace_back("metacopy=off");
  }
  // No sync at unmount: sync() makes a whole build durable at once.
  if (!dirs.upper.empty()) mount.options.emplace_back("volatile");
  return mount;
}

Mount bind_mount(const std::string& directory, const char* mode) {
  return {"bind", tree_of(directory), {mode}};
}

// Looks for opaque directories.
Result<bool> has_opaque(const Root& root, const RelPath& path, const std::string& xattr) {
  std::vector<RelPath> inside;
  {
    KILN_TRY_ASSIGN(const Fd fd, root.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const std::string value, xattr_of(fd.get(), xattr.c_str()));
    if (value == "y") return true;
    KILN_TRY_ASSIGN(const auto entries, list_dir(fd.get()));
    for (const DirEntry& entry : entries) {
      if (entry.type == DT_DIR) inside.push_back(path.child(entry.name));
    }
  }
  for (const RelPath& directory : inside) {
    KILN_TRY_ASSIGN(const bool found, has_opaque(root, directory, xattr));
    if (found) return true;
  }
  return false;
}

class OverlayKind : public TreeKind {
 public:
  OverlayKind(std::string scratch, std::string xattrs)
      : scratch_(std::move(scratch)), xattrs_(std::move(xattrs)) {}

  std::string_view name() const override { return "overlay"; }

  Status start(const std::string& directory, const Ancestors& below, std::stop_token) override {
    if (::mkdir(tree_of(directory).c_str(), 0755) != 0)
      return fail_errno("make directory", tree_of(directory));
    if (!below.empty() && ::mkdir(work_of(directory).c_str(), 0755) != 0)
      return fail_errno("make directory", work_of(directory));
    return set_root_metadata(directory, below);
  }

  Result<std::vector<Mount>> writable(const std::string& directory,
                                      const Ancestors& below) override {
    if (below.empty()) return std::vector{bind_mount(directory, "rw")};
    KILN_TRY(check_depth(below.size()));
    return std::vector{
        overlay_mount({trees_of(below), tree_of(directory), work_of(directory)}, xattrs_)};
  }

  Result<std::vector<Mount>> readable(const Ancestors& chain) override {
    if (chain.size() == 1) return std::vector{bind_mount(chain.front(), "ro")};
    KILN_TRY(check_depth(chain.size()));
    Mount mount = overlay_mount({trees_of(chain), {}, {}}, xattrs_);
    mount.options.emplace_back("ro");
    return std::vector{std::move(mount)};
  }

  Status finish(const std::string& directory, const Ancestors& below) override {
    KILN_TRY(put_work_aside(directory));
    return set_root_metadata(directory, below);
  }

  Result<Portable> unpack(const LayerSource& layer, const std::string& directory,
                          const Ancestors& below, std::stop_token stop) override {
    KILN_TRY(start(directory, below, stop));
    if (below.empty()) {
      KILN_TRY(apply(layer, tree_of(directory), ApplyMode::kMerged, stop));
      return Portable::kNo;
    }
    Status applied = apply(layer, tree_of(directory), ApplyMode::kOverlayUpper, stop);
    Portable portable = Portable::kYes;
    if (!applied && applied.error().code() == Code::kFailedPrecondition) {
      applied = unpack_mounted(layer, directory, below, stop);
      portable = Portable::kNo;
    }
    KILN_TRY(std::move(applied));
    KILN_TRY(put_work_aside(directory));
    return portable;
  }

  Status pack(const std::string& directory, const Ancestors& below, Sink& tar,
              std::stop_token stop) override {
    KILN_TRY_ASSIGN(const Root upper, Root::open(tree_of(directory)));
    if (below.empty()) return write_overlay_diff({nullptr, &upper, xattrs_}, tar, stop);
    KILN_TRY_ASSIGN(const auto mounts, readable(below));
    KILN_TRY_ASSIGN(const MountedTree lower, MountedTree::open(mounts, scratch_));
    return write_overlay_diff({&lower.root(), &upper, xattrs_}, tar, stop);
  }

  bool can_share() const override { return true; }

  Result<bool> hides_unnamed(const std::string& directory) override {
    KILN_TRY_ASSIGN(const Root root, Root::open(tree_of(directory)));
    return has_opaque(root, RelPath(), xattrs_ + "opaque");
  }

 private:
  Status apply(const LayerSource& layer, const std::string& tree, ApplyMode mode,
               const std::stop_token& stop) const {
    KILN_TRY_ASSIGN(const Root root, Root::open(tree));
    return layer.read([&](oci::TarReader& tar) -> Status {
      ApplyOptions options;
      options.mode = mode;
      options.overlay_xattrs = xattrs_;
      KILN_TRY(apply_layer(tar, root, options, stop));
      return {};
    });
  }

  // For layers that lean on what lies below: the kernel works out what that means for the upper
  // directory.
  Status unpack_mounted(const LayerSource& layer, const std::string& directory,
                        const Ancestors& below, const std::stop_token& stop) {
    KILN_TRY(remove_tree(tree_of(directory)));
    KILN_TRY(remove_tree(work_of(directory)));
    KILN_TRY(start(directory, below, stop));
    KILN_TRY_ASSIGN(const auto mounts, writable(directory, below));
    KILN_TRY_ASSIGN(const TempDir target, TempDir::create(scratch_, "unpack-"));
    KILN_TRY_ASSIGN(MountPoint mounted, MountPoint::mount(mounts, target.path()));
    KILN_TRY(apply(layer, target.path(), ApplyMode::kMerged, stop));
    return mounted.unmount();
  }

  // The kernel's own directories in it take time to remove, which nobody has to wait for. Beside
  // `directory`, in this process's work area, which is swept if kiln dies meanwhile.
  Status put_work_aside(const std::string& directory) {
    const std::string aside = directory + ".work";
    if (::rename(work_of(directory).c_str(), aside.c_str()) == 0) {
      cleaner_.submit([aside] { (void)remove_tree(aside); });
      return {};
    }
    if (errno == ENOENT) return {};
    return fail_errno("rename", work_of(directory));
  }

  std::string scratch_;
  std::string xattrs_;
  WorkerPool cleaner_{1};
};

Status try_overlay(const std::string& directory, std::string_view xattrs) {
  KILN_TRY_ASSIGN(const TempDir trial, TempDir::create(directory, "probe-"));
  OverlayDirs dirs{{}, trial.path() + "/upper", trial.path() + "/work"};
  for (const char* lower : {"/lower1", "/lower2"}) dirs.lowers.push_back(trial.path() + lower);
  const std::string merged = trial.path() + "/merged";
  for (const std::string& made :
       {dirs.lowers[0], dirs.lowers[1], dirs.upper, dirs.work, merged, dirs.lowers[0] + "/d"})
    KILN_TRY(make_dirs(made));
  KILN_TRY_ASSIGN(MountPoint mount, MountPoint::mount({overlay_mount(dirs, xattrs)}, merged));
  // Deleting needs whiteouts in the upper, making the directory anew needs xattrs.
  if (::rmdir((merged + "/d").c_str()) != 0 || ::mkdir((merged + "/d").c_str(), 0755) != 0)
    return fail_errno("replace a directory in", merged);
  const std::string opaque = std::string(xattrs) + "opaque";
  if (::getxattr((dirs.upper + "/d").c_str(), opaque.c_str(), nullptr, 0) <= 0)
    return fail_errno("find " + opaque + " in", dirs.upper);
  return mount.unmount();
}

}  // namespace

std::unique_ptr<TreeKind> make_overlay_kind(std::string scratch, std::string xattrs) {
  return std::make_unique<OverlayKind>(std::move(scratch), std::move(xattrs));
}

Result<std::string> probe_overlay(const std::string& directory) {
  const Status trusted = try_overlay(directory, kTrusted);
  if (trusted) return std::string(kTrusted);
  if (try_overlay(directory, kUser)) return std::string(kUser);
  return tl::unexpected(
      Error(Code::kFailedPrecondition,
            "overlayfs cannot be used in \"" + directory + "\": " + trusted.error().message())
          .hint("use another root (--root) or the \"copy\" snapshotter"));
}

}  // namespace kiln::internal
