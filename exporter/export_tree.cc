#include "exporter/export_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr time_t kMadeTime = 315'532'800;  // 1980-01-01, as of all that a build makes of nothing

std::string directory_of(const Platform& platform) {
  std::string name = platform.to_string();
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

// An empty tree has no time of its own: the same for every build.
Status settle(const std::string& path) {
  const timespec times[2] = {{kMadeTime, 0}, {kMadeTime, 0}};
  if (::chmod(path.c_str(), 0755) != 0 || ::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0)
    return fail_errno("set the time of", path);
  return {};
}

/// Whose each path is, while tree after tree is looked at. A directory belongs to all.
class Owners {
 public:
  Status add(const ExportTree& tree, const RelPath& directory, const std::stop_token& stop) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    KILN_TRY_ASSIGN(const Fd fd, tree.root().open(directory, O_RDONLY | O_DIRECTORY));
    KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_dir(fd.get()));
    for (const DirEntry& entry : entries) {
      const RelPath path = directory.child(entry.name);
      const bool is_directory = entry.type == DT_DIR;
      const auto [at, is_new] =
          known_.emplace(path.str(), Owner{tree.platform().to_string(), is_directory});
      if (!is_new && !(is_directory && at->second.is_directory))
        return clash(path.str(), at->second.platform, tree.platform().to_string());
      if (is_directory) KILN_TRY(add(tree, path, stop));
    }
    return {};
  }

 private:
  struct Owner {
    std::string platform;
    bool is_directory = false;
  };
  static tl::unexpected<Error> clash(const std::string& path, const std::string& first,
                                     const std::string& second) {
    return tl::unexpected(
        Error(Code::kInvalidArgument, "cannot overwrite " + printable(path) + " from " + first +
                                          " with " + second + " when split option is disabled")
            .hint("leave out platform-split=false, or give the platforms' files different names"));
  }
  std::map<std::string, Owner> known_;
};

}  // namespace

Result<ExportTree> ExportTree::open(const PlatformResult& platform, Place place,
                                    ExportContext& context, const std::stop_token& stop) {
  ExportTree tree(platform);
  if (place == Place::kDirectory) {
    KILN_TRY(tree.make_directory(context));
    KILN_TRY(tree.mount_below(platform, context, stop));
    return tree;
  }
  if (!platform.root) {
    KILN_TRY(tree.make_directory(context));
    return tree;
  }
  KILN_TRY_ASSIGN(tree.view_, context.snapshots.view(*platform.root, stop));
  KILN_TRY_ASSIGN(MountedTree mounted,
                  MountedTree::open(tree.view_->mounts(), context.scratch_directory));
  tree.only_ = std::make_unique<MountedTree>(std::move(mounted));
  return tree;
}

Status ExportTree::make_directory(ExportContext& context) {
  KILN_TRY_ASSIGN(TempDir made, TempDir::create(context.scratch_directory, "export-"));
  directory_ = std::make_unique<TempDir>(std::move(made));
  KILN_TRY_ASSIGN(Root root, Root::open(directory_->path()));
  root_ = std::make_unique<Root>(std::move(root));
  return {};
}

Status ExportTree::mount_below(const PlatformResult& platform, ExportContext& context,
                               const std::stop_token& stop) {
  const std::string path = directory_->path() + "/" + directory_of(platform.platform);
  KILN_TRY(make_dirs(path, 0755));
  if (!platform.root) return settle(path);
  KILN_TRY_ASSIGN(view_, context.snapshots.view(*platform.root, stop));
  KILN_TRY_ASSIGN(MountPoint mounted, MountPoint::mount(view_->mounts(), path));
  mount_ = std::make_unique<MountPoint>(std::move(mounted));
  return {};
}

Result<std::vector<ExportTree>> open_export_trees(const ExportInput& input,
                                                  const std::optional<bool>& split,
                                                  ExportContext& context,
                                                  const std::stop_token& stop) {
  const bool several = input.platforms.size() > 1;
  const bool apart = split.value_or(several);
  std::vector<const PlatformResult*> platforms;
  for (const PlatformResult& platform : input.platforms) platforms.push_back(&platform);
  if (apart)
    std::sort(platforms.begin(), platforms.end(), [](const auto* a, const auto* b) {
      return directory_of(a->platform) < directory_of(b->platform);
    });
  const auto place = apart ? ExportTree::Place::kDirectory : ExportTree::Place::kTop;
  std::vector<ExportTree> trees;
  Owners owners;
  for (const PlatformResult* platform : platforms) {
    KILN_TRY_ASSIGN(ExportTree tree, ExportTree::open(*platform, place, context, stop));
    if (several && !apart) KILN_TRY(owners.add(tree, RelPath(), stop));
    trees.push_back(std::move(tree));
  }
  return trees;
}

}  // namespace kiln
