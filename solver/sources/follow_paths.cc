#include "solver/sources/follow_paths.h"

#include <fcntl.h>

#include <set>

#include "base/glob.h"
#include "base/strings.h"

namespace kiln::internal {
namespace {

constexpr int kMaxLinks = 255;

class Follower {
 public:
  Follower(const Root& root, FollowTree& tree, std::stop_token stop)
      : root_(root), tree_(tree), stop_(std::move(stop)) {}

  /// `rest`: the components still to go from the real directory `at`.
  Status follow(const RelPath& at, std::vector<std::string> rest, int links) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "walk of the context cancelled");
    if (rest.empty() || rest.front() == "**") return select(at);
    const std::string name = std::move(rest.front());
    rest.erase(rest.begin());
    if (name == ".") return follow(at, std::move(rest), links);
    if (name == "..") return follow(at.parent(), std::move(rest), links);
    if (!has_wildcard(name)) return follow_entry(at.child(name), std::move(rest), links);
    return follow_wildcard(at, name, rest, links);
  }

 private:
  Status select(const RelPath& path) {
    FollowTree* node = &tree_;
    for (const std::string_view name : path.components()) {
      if (node->whole) return {};
      auto& child = node->children[std::string(name)];
      if (!child) child = std::make_unique<FollowTree>();
      node = child.get();
    }
    node->whole = true;
    node->children.clear();
    return {};
  }

  Status follow_entry(const RelPath& path, std::vector<std::string> rest, int links) {
    KILN_TRY_ASSIGN(const auto st, root_.stat(path, FollowLast::kNo));
    if (!st) return {};
    if (!S_ISLNK(st->st_mode)) {
      if (!S_ISDIR(st->st_mode) && !rest.empty()) return {};
      return follow(path, std::move(rest), links);
    }
    KILN_TRY(select(path));
    if (links >= kMaxLinks)
      return fail(Code::kInvalidArgument, quote(path.absolute()) + ": too many symbolic links");
    KILN_TRY_ASSIGN(const std::string target, root_.read_link(path));
    std::vector<std::string> parts;
    for (std::string& part : split(target, '/'))
      if (!part.empty()) parts.push_back(std::move(part));
    parts.insert(parts.end(), rest.begin(), rest.end());
    return follow(target.starts_with('/') ? RelPath() : path.parent(), std::move(parts), links + 1);
  }

  Status follow_wildcard(const RelPath& at, const std::string& pattern,
                         const std::vector<std::string>& rest, int links) {
    auto directory = root_.open(at, O_RDONLY | O_DIRECTORY);
    if (!directory) return {};
    KILN_TRY_ASSIGN(const auto entries, list_dir(directory->get()));
    for (const DirEntry& entry : entries) {
      KILN_TRY_ASSIGN(const bool matched, glob_match(pattern, entry.name));
      if (matched) KILN_TRY(follow_entry(at.child(entry.name), rest, links));
    }
    return {};
  }

  const Root& root_;
  FollowTree& tree_;
  const std::stop_token stop_;
};

}  // namespace

Result<std::unique_ptr<FollowTree>> follow_paths(const Root& root,
                                                 const std::vector<std::string>& paths,
                                                 std::stop_token stop) {
  auto tree = std::make_unique<FollowTree>();
  for (const std::string& path : paths) {
    KILN_TRY_ASSIGN(const RelPath clean, RelPath::rooted(path));
    std::vector<std::string> parts;
    for (const std::string_view part : clean.components()) parts.emplace_back(part);
    KILN_TRY(Follower(root, *tree, stop).follow(RelPath(), std::move(parts), 0));
  }
  return tree;
}

}  // namespace kiln::internal
