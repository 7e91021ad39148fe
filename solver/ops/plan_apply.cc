#include "solver/ops/plan_apply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <tbb/parallel_for_each.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <unordered_map>

#include "base/guarded.h"
#include "base/io.h"
#include "base/strings.h"
#include "solver/ops/xattrs.h"

namespace kiln {
namespace {

using State = PlannedNode::State;

constexpr size_t kFilesInJob = 128;

struct Named {
  const std::string* name;
  const PlannedEntry* entry;
};
/// Files of one directory, for one task.
struct Job {
  RelPath directory;
  std::vector<Named> files;
};
struct Link {
  RelPath first, second;
};
struct Settled {  // what a directory is to have when all is in it
  RelPath path;
  const PlannedEntry* entry;  // nullptr: keep, but for the mtime
  timespec mtime;
};

class Apply {
 public:
  Apply(std::span<const TreeView* const> sources, const Root& root, const std::stop_token& stop)
      : sources_(sources), root_(root), stop_(stop) {}

  Status run(const PlannedNode& top) {
    KILN_TRY_ASSIGN(const Fd fd, root_.open(RelPath(), O_RDONLY | O_DIRECTORY));
    KILN_TRY(make_directories(top, fd, RelPath()));
    KILN_TRY(copy_files());
    for (const Link& link : links_) KILN_TRY(make_link(link));
    // Deepest first: setting a directory's times does not touch its parent's.
    for (auto settled = settled_.rbegin(); settled != settled_.rend(); ++settled)
      KILN_TRY(settle(*settled));
    return {};
  }

 private:
  Status check_stop() const {
    return stop_.stop_requested() ? Status(fail(Code::kCancelled, "copy cancelled")) : Status();
  }

  // ---- directories, one after the other ----

  Status make_directories(const PlannedNode& node, const Fd& fd, const RelPath& path) {
    KILN_TRY(check_stop());
    struct stat before {};
    if (::fstat(fd.get(), &before) != 0) return fail_errno("stat", path.absolute());
    const bool is_put = node.state == State::kPut;
    settled_.push_back({path, is_put ? &node.entry : nullptr, before.st_mtim});
    Job job{path, {}};
    for (const auto& [name, child] : node.children) {
      KILN_TRY(clear_way(*child, fd, name));
      if (child->state == State::kRemoved) continue;
      if (child->state == State::kPut && !S_ISDIR(child->entry.mode)) {
        add_file(job, path, name, child->entry);
        continue;
      }
      KILN_TRY(make_directory(*child, fd, name, path.child(name)));
    }
    if (!job.files.empty()) jobs_.push_back(std::move(job));
    return {};
  }

  /// Removes what the planned entry takes the place of.
  static Status clear_way(const PlannedNode& child, const Fd& fd, const std::string& name) {
    if (child.state == State::kUntouched) return {};
    if (child.state == State::kPut && S_ISDIR(child.entry.mode) && !child.fresh) return {};
    if (::unlinkat(fd.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno("remove", name);
    return remove_tree_at(fd.get(), name);
  }

  Status make_directory(const PlannedNode& node, const Fd& parent, const std::string& name,
                        const RelPath& path) {
    if (node.state == State::kPut && ::mkdirat(parent.get(), name.c_str(), 0700) != 0 &&
        errno != EEXIST)
      return fail_errno("mkdir", path.absolute());
    const Fd fd(
        ::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return fail_errno("open", path.absolute());
    return make_directories(node, fd, path);
  }

  void add_file(Job& job, const RelPath& directory, const std::string& name,
                const PlannedEntry& entry) {
    if (entry.link_group != 0) {
      const RelPath path = directory.child(name);
      const auto [first, is_first] = groups_.emplace(entry.link_group, path);
      if (!is_first) {
        links_.push_back({first->second, path});
        return;
      }
    }
    job.files.push_back({&name, &entry});
    if (job.files.size() < kFilesInJob) return;
    jobs_.push_back(std::move(job));
    job = Job{directory, {}};
  }

  Status settle(const Settled& settled) const {
    KILN_TRY_ASSIGN(const Fd fd,
                    root_.open(settled.path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    if (settled.entry != nullptr) {
      KILN_TRY_ASSIGN(const Xattrs xattrs, directory_xattrs(*settled.entry));
      return set_metadata(fd, settled.path, *settled.entry, xattrs);
    }
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail_errno("stat", settled.path.absolute());
    if (st.st_mtim.tv_sec == settled.mtime.tv_sec && st.st_mtim.tv_nsec == settled.mtime.tv_nsec)
      return {};
    return set_times(fd, settled.path, settled.mtime);
  }

  // ---- files, in parallel ----

  Status copy_files() {
    std::atomic<bool> failed = false;
    Guarded<std::optional<Error>> failure;
    tbb::parallel_for_each(jobs_.begin(), jobs_.end(), [&](const Job& job) {
      if (failed) return;
      const Status status = copy_job(job);
      if (status) return;
      failed = true;
      auto first = failure.lock();
      if (!first->has_value()) first->emplace(status.error());
    });
    auto first = failure.lock();
    return first->has_value() ? Status(tl::unexpected(**first)) : Status();
  }

  /// One a source: each remembers a directory of its own tree.
  using Scratches = std::vector<FileScratch>;
  struct Target {
    int directory;
    const std::string& name;
    const RelPath path;
  };

  Status copy_job(const Job& job) const {
    KILN_TRY_ASSIGN(const Fd directory,
                    root_.open(job.directory, O_PATH | O_DIRECTORY, 0, FollowLast::kNo));
    Scratches scratches(sources_.size());
    for (const Named& file : job.files) {
      KILN_TRY(check_stop());
      const Target target{directory.get(), *file.name, job.directory.child(*file.name)};
      KILN_TRY(S_ISREG(file.entry->mode) ? create_file(target, *file.entry, scratches)
                                         : create_node(target, *file.entry));
    }
    return {};
  }

  static Status create_node(const Target& target, const PlannedEntry& entry) {
    const char* name = target.name.c_str();
    const int made = S_ISLNK(entry.mode)
                         ? ::symlinkat(entry.text.c_str(), target.directory, name)
                         : ::mknodat(target.directory, name, entry.mode,
                                     S_ISFIFO(entry.mode) ? 0 : entry.special_device);
    if (made != 0) return fail_errno("create", target.path.absolute());
    if (::fchownat(target.directory, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("chown", target.path.absolute());
    if (!S_ISLNK(entry.mode) && ::fchmodat(target.directory, name, entry.mode & 07777U, 0) != 0)
      return fail_errno("chmod", target.path.absolute());
    const timespec times[2] = {entry.mtime, entry.mtime};
    if (::utimensat(target.directory, name, times, AT_SYMLINK_NOFOLLOW) != 0)
      return fail_errno("set times of", target.path.absolute());
    return {};
  }

  Status create_file(const Target& target, const PlannedEntry& entry, Scratches& scratches) const {
    const Fd to(::openat(target.directory, target.name.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!to.valid()) return fail_errno("create", target.path.absolute());
    Xattrs xattrs;
    if (entry.source == kInlineSource) {
      KILN_TRY(write_fully(to.get(), as_bytes(entry.text), target.path.absolute()));
    } else {
      KILN_TRY_ASSIGN(xattrs, copy_data(entry, to, scratches));
    }
    return set_metadata(to, target.path, entry, xattrs);
  }

  /// Returns what else the copy is to get from the source's file.
  Result<Xattrs> copy_data(const PlannedEntry& entry, const Fd& to, Scratches& scratches) const {
    const auto index = static_cast<size_t>(entry.source);
    const TreeView& source = *sources_[index];
    KILN_TRY_ASSIGN(const RelPath from_path, RelPath::rooted(entry.text));
    KILN_TRY_ASSIGN(const Fd from, source.open_file(from_path, scratches[index]));
    const Result<uint64_t> copied = copy_file_data(from.get(), to.get());
    if (!copied) return tl::unexpected(copied.error().wrap(quote(from_path.absolute())));
    const uint64_t bytes = *copied;
    KILN_TRY(source.check_unchanged(from_path, from));
    if (bytes != entry.size)
      return fail(Code::kFailedPrecondition,
                  quote(from_path.absolute()) + " changed while it was copied");
    return source.has_xattrs() ? read_xattrs(from) : Xattrs();
  }

  Status make_link(const Link& link) const {
    KILN_TRY_ASSIGN(const Fd from, root_.open_parent(link.first));
    KILN_TRY_ASSIGN(const Fd to, root_.open_parent(link.second));
    const std::string first(link.first.name());
    const std::string second(link.second.name());
    if (::linkat(from.get(), first.c_str(), to.get(), second.c_str(), 0) != 0)
      return fail_errno("link", link.second.absolute());
    return {};
  }

  // ---- metadata ----

  static Status set_metadata(const Fd& fd, const RelPath& path, const PlannedEntry& entry,
                             const Xattrs& xattrs) {
    if (::fchown(fd.get(), entry.uid, entry.gid) != 0) return fail_errno("chown", path.absolute());
    // After chown, which clears set-user-ID bits and capabilities.
    if (::fchmod(fd.get(), entry.mode & 07777U) != 0) return fail_errno("chmod", path.absolute());
    write_xattrs(fd, xattrs);
    return set_times(fd, path, entry.mtime);
  }

  Result<Xattrs> directory_xattrs(const PlannedEntry& entry) const {
    if (entry.source == kInlineSource) return Xattrs();
    const TreeView& source = *sources_[static_cast<size_t>(entry.source)];
    if (!source.has_xattrs()) return Xattrs();
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(entry.text));
    KILN_TRY_ASSIGN(const Fd from,
                    source.root().open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    return read_xattrs(from);
  }

  static Status set_times(const Fd& fd, const RelPath& path, const timespec& mtime) {
    const timespec times[2] = {mtime, mtime};
    if (::futimens(fd.get(), times) != 0) return fail_errno("set times of", path.absolute());
    return {};
  }

  const std::span<const TreeView* const> sources_;
  const Root& root_;
  const std::stop_token& stop_;
  std::vector<Job> jobs_;
  std::vector<Link> links_;
  std::vector<Settled> settled_;
  std::unordered_map<uint32_t, RelPath> groups_;  // link group -> its first path
};

}  // namespace

Status plan_apply(const PlannedTree& plan, std::span<const TreeView* const> sources,
                  const Root& root, const std::stop_token& stop) {
  return Apply(sources, root, stop).run(plan.changes());
}

}  // namespace kiln
