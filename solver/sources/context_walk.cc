#include "solver/sources/context_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <optional>

#include "base/guarded.h"

namespace kiln::internal {
namespace {

// To start the task scheduler takes longer than to read a small context.
constexpr size_t kEntriesAlone = 256;

class Walk {
 public:
  Walk(const Root& root, const WalkRules& rules, std::stop_token stop)
      : root_(root), rules_(rules), stop_(std::move(stop)) {}

  Result<std::unique_ptr<ContextDirectory>> run() {
    auto top = std::make_unique<ContextDirectory>();
    visit(Place{RelPath(), {}, {}, rules_.only}, *top);
    if (tasks_) tasks_->wait();
    if (auto failed = failure_.lock(); failed->has_value()) return tl::unexpected(**failed);
    prune(*top);
    return top;
  }

 private:
  struct Place {
    RelPath path;
    PatternMatcher::Parents excluded, included;
    const FollowTree* only;  // null: everything below
  };

  void visit(const Place& place, ContextDirectory& into) {
    if (auto status = read(place, into); !status) note(status.error());
  }

  void note(const Error& error) {
    auto failed = failure_.lock();
    if (!failed->has_value()) failed->emplace(error);
  }

  bool should_stop() { return stop_.stop_requested() || failure_.lock()->has_value(); }

  Status read(const Place& place, ContextDirectory& into) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "walk of the context cancelled");
    if (should_stop()) return {};
    auto fd = root_.open(place.path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo);
    if (!fd) {
      if (fd.error().code() == Code::kNotFound) return {};
      return tl::unexpected(fd.error().wrap("read the build context"));
    }
    KILN_TRY_ASSIGN(const std::vector<std::string> names, names_of(place, *fd));
    into.entries.reserve(names.size());
    std::vector<Place> below;
    for (const std::string& name : names) KILN_TRY(add(place, *fd, name, into, below));
    start(into, std::move(below));
    return {};
  }

  static Result<std::vector<std::string>> names_of(const Place& place, const Fd& fd) {
    std::vector<std::string> names;
    if (place.only != nullptr && !place.only->whole) {
      for (const auto& [name, child] : place.only->children) names.push_back(name);
      return names;
    }
    KILN_TRY_ASSIGN(std::vector<DirEntry> entries, list_dir(fd.get()));
    names.reserve(entries.size());
    for (DirEntry& entry : entries) names.push_back(std::move(entry.name));
    return names;
  }

  /// Directories that must be walked are added to `below`, in the order of `into`'s directories.
  Status add(const Place& place, const Fd& fd, const std::string& name, ContextDirectory& into,
             std::vector<Place>& below) {
    Place next{RelPath(), {}, {}, nullptr};
    const Choice choice = choose(place, name, next);
    if (choice == Choice::kSkipped) return {};
    const bool wanted = choice == Choice::kWanted;
    struct stat st {};
    if (::fstatat(fd.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return {};
      return fail_errno("read the build context: stat", place.path.child(name).absolute());
    }
    if (!wanted && !S_ISDIR(st.st_mode)) return {};
    ContextEntry& entry = into.entries.emplace_back(ContextEntry::of(name, st));
    if (S_ISLNK(st.st_mode)) KILN_TRY(read_target(fd, place.path.child(name), entry));
    if (!S_ISDIR(st.st_mode)) return {};
    entry.directory = std::make_unique<ContextDirectory>();
    entry.directory->kept = wanted;
    if (place.only != nullptr && !place.only->whole) {
      const FollowTree& child = *place.only->children.find(name)->second;
      next.only = child.whole ? nullptr : &child;
    }
    next.path = place.path.child(name);
    below.push_back(std::move(next));
    return {};
  }

  enum class Choice : uint8_t { kWanted, kUnwanted, kSkipped };

  /// What the patterns say; sets what they must know of `next` for what is below it. The common
  /// case, no patterns, costs a file nothing.
  Choice choose(const Place& place, const std::string& name, Place& next) const {
    if (rules_.excludes.empty() && rules_.includes.empty()) return Choice::kWanted;
    const RelPath path = place.path.child(name);
    bool wanted = true;
    if (!rules_.excludes.empty()) {
      auto match = rules_.excludes.match(path.str(), place.excluded);
      wanted = !match.excluded;
      // A file that is excluded needs no stat, a directory neither where nothing can come back.
      if (!wanted && rules_.excludes.can_skip_directory(path.str())) return Choice::kSkipped;
      next.excluded = std::move(match.self);
    }
    if (!rules_.includes.empty()) {
      auto match = rules_.includes.match(path.str(), place.included);
      wanted = wanted && match.excluded;
      next.included = std::move(match.self);
    }
    return wanted ? Choice::kWanted : Choice::kUnwanted;
  }

  static Status read_target(const Fd& fd, const RelPath& path, ContextEntry& entry) {
    std::array<char, PATH_MAX> target;
    const ssize_t n = ::readlinkat(fd.get(), entry.name.c_str(), target.data(), target.size());
    if (n < 0) return fail_errno("read link", path.absolute());
    entry.link_target.assign(target.data(), static_cast<size_t>(n));
    return {};
  }

  /// Until there are tasks, only the caller's thread is here.
  void start(ContextDirectory& into, std::vector<Place> below) {
    if (!tasks_) entries_alone_ += into.entries.size();
    size_t next = 0;
    for (ContextEntry& entry : into.entries) {
      if (!entry.directory) continue;
      if (!tasks_ && entries_alone_ <= kEntriesAlone) {
        visit(below[next++], *entry.directory);
        continue;
      }
      if (!tasks_) tasks_.emplace();
      tasks_->run([this, place = std::move(below[next++]), directory = entry.directory.get()] {
        visit(place, *directory);
      });
    }
  }

  /// Directories that are not selected themselves stay only for what is selected below them.
  static void prune(ContextDirectory& directory) {
    std::erase_if(directory.entries, [](ContextEntry& entry) {
      if (!entry.directory) return false;
      prune(*entry.directory);
      entry.directory->entries.shrink_to_fit();
      return !entry.directory->kept && entry.directory->entries.empty();
    });
  }

  const Root& root_;
  const WalkRules& rules_;
  const std::stop_token stop_;
  size_t entries_alone_ = 0;
  std::optional<tbb::task_group> tasks_;  // once the context is seen not to be small
  Guarded<std::optional<Error>> failure_;
};

}  // namespace

Result<std::unique_ptr<ContextDirectory>> walk_context(const Root& root, const WalkRules& rules,
                                                       std::stop_token stop) {
  return Walk(root, rules, std::move(stop)).run();
}

}  // namespace kiln::internal
