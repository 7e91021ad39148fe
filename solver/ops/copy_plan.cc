// The copy action of file_plan.h.
#include <map>

#include "base/strings.h"
#include "solver/ops/file_plan.h"
#include "solver/ops/make_dirs_plan.h"
#include "solver/ops/mode_change.h"

namespace kiln {
namespace {

constexpr uint32_t kCreatedDirectory = 0755;

Result<ModeChange> mode_change_of(const llb::CopyAction& copy) {
  if (!copy.mode_str.empty()) return ModeChange::parse(copy.mode_str);
  if (copy.mode >= 0) return ModeChange::octal(static_cast<uint32_t>(copy.mode));
  return ModeChange();
}

/// COPY's own clock: the action's, or else that of what is copied.
timespec time_of(const llb::CopyAction& copy, const timespec& source) {
  if (copy.timestamp == -1) return source;
  constexpr int64_t kNanoseconds = 1'000'000'000;
  return {copy.timestamp / kNanoseconds, copy.timestamp % kNanoseconds};
}

/// A directory that is made to receive a copy is 0755 and root's (or as the octal --chmod and
/// --chown say), never as the source's (C3, C11). Its mtime is that of what comes into it, because
/// the time of the build must not get into a layer.
PlannedEntry created_directory(const llb::CopyAction& copy, const ModeChange& mode,
                               const PlanOptions& options, const timespec& source) {
  PlannedEntry entry;
  entry.mode = S_IFDIR | mode.octal().value_or(kCreatedDirectory);
  const Owner owner = options.owner.value_or(Owner{});
  entry.uid = owner.uid;
  entry.gid = owner.gid;
  entry.mtime = time_of(copy, source);
  return entry;
}

bool names_directory(std::string_view destination) {
  return destination.ends_with('/') || destination.ends_with("/.") || destination == ".";
}

class CopyPlan {
 public:
  CopyPlan(PlannedTree& tree, const llb::CopyAction& copy, const PlanSource& source,
           const PlanOptions& options)
      : tree_(tree), copy_(copy), source_(source), options_(options) {}

  Status run(const CopyMatch& match, const std::stop_token& stop) {
    KILN_TRY_ASSIGN(mode_, mode_change_of(copy_));
    KILN_TRY_ASSIGN(const RelPath target, prepare_target(match));
    const EntryVisitor visit = [&](const SelectedEntry& entry) { return put(target, entry); };
    return visit_selection(*source_.view, copy_, match, stop, visit);
  }

 private:
  Result<RelPath> prepare_target(const CopyMatch& match) {
    const PlannedEntry made = created_directory(copy_, mode_, options_, match.st.st_mtim);
    KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(copy_.dest));
    if (!copy_.create_dest_path) KILN_TRY(check_parent(named));
    KILN_TRY(internal::plan_make_dirs(tree_, names_directory(copy_.dest) ? named : named.parent(),
                                      made));
    KILN_TRY_ASSIGN(RelPath target, resolve_in_tree(tree_, named, FollowLast::kYes));
    KILN_TRY_ASSIGN(const auto there, tree_.stat(target));
    const bool is_directory = S_ISDIR(match.st.st_mode);
    const bool contents = is_directory && copy_.dir_copy_contents;
    if (!contents && there && S_ISDIR(there->st_mode) && !match.name.empty())
      target = target.child(match.name);
    KILN_TRY(internal::plan_make_dirs(tree_, contents && !there ? target : target.parent(), made));
    return target;
  }

  Status check_parent(const RelPath& named) {
    KILN_TRY_ASSIGN(const RelPath path, resolve_in_tree(tree_, named, FollowLast::kYes));
    KILN_TRY_ASSIGN(const auto parent, tree_.stat(path.parent()));
    if (parent) return {};
    return fail(Code::kNotFound,
                "failed to stat " + copy_.dest + ": no such directory " + path.parent().absolute());
  }

  Status put(const RelPath& target, const SelectedEntry& entry) {
    RelPath path = target;
    if (!entry.below().empty()) {
      KILN_TRY_ASSIGN(const RelPath below, RelPath::strict(entry.below()));
      path = target.join(below);
    }
    KILN_TRY_ASSIGN(const auto there, tree_.stat(path));
    if (S_ISDIR(entry.st.st_mode)) return put_directory(path, there, entry);
    if (there && S_ISDIR(there->st_mode)) {
      if (!copy_.always_replace_existing_dest_paths)
        return fail(Code::kInvalidArgument,
                    "cannot replace to directory " + path.absolute() + " with file");
      KILN_TRY(tree_.remove(path));
    }
    PlannedEntry made = make_entry(entry);
    if (S_ISLNK(entry.st.st_mode)) {
      KILN_TRY_ASSIGN(made.text, source_.view->read_link(entry.source));
    }
    return tree_.put(path, std::move(made));
  }

  Status put_directory(const RelPath& path, const std::optional<struct stat>& there,
                       const SelectedEntry& entry) {
    const bool is_top = entry.below().empty();
    if (there && !S_ISDIR(there->st_mode)) {
      if (!copy_.always_replace_existing_dest_paths)
        return fail(Code::kInvalidArgument, "cannot copy to non-directory: " + path.absolute());
      KILN_TRY(tree_.remove(path));
    }
    // What exists at the top keeps owner and mode (C10); below, the source's win.
    const bool exists = there && S_ISDIR(there->st_mode);
    if (exists && is_top) return {};
    return tree_.put(path, make_entry(entry));
  }

  PlannedEntry make_entry(const SelectedEntry& from) {
    PlannedEntry entry;
    entry.mode = S_ISLNK(from.st.st_mode) ? from.st.st_mode : mode_.apply(from.st.st_mode);
    entry.uid = options_.owner ? options_.owner->uid : from.st.st_uid;
    entry.gid = options_.owner ? options_.owner->gid : from.st.st_gid;
    entry.mtime = time_of(copy_, from.st.st_mtim);
    entry.special_device = from.st.st_rdev;
    if (S_ISSOCK(from.st.st_mode)) {  // an empty file (C15): it is never opened
      entry.mode = (entry.mode & ~mode_t{S_IFMT}) | S_IFREG;
      return entry;
    }
    entry.source = source_.index;
    entry.text = from.source.str();
    if (S_ISREG(from.st.st_mode)) {
      entry.size = static_cast<uint64_t>(from.st.st_size);
      if (from.st.st_nlink > 1) entry.link_group = group_of(from.st);
    }
    return entry;
  }

  uint32_t group_of(const struct stat& st) {
    uint32_t& group = groups_[{st.st_dev, st.st_ino}];
    if (group == 0) group = tree_.new_link_group();
    return group;
  }

  PlannedTree& tree_;
  const llb::CopyAction& copy_;
  const PlanSource& source_;
  const PlanOptions& options_;
  ModeChange mode_;
  std::map<std::pair<dev_t, ino_t>, uint32_t> groups_;  // within one copy (C15)
};

}  // namespace

Status plan_copy(PlannedTree& tree, const llb::CopyAction& copy, const CopyMatch& match,
                 const PlanSource& source, const PlanOptions& options,
                 const std::stop_token& stop) {
  return CopyPlan(tree, copy, source, options).run(match, stop);
}

Result<RelPath> plan_unpack_directory(PlannedTree& tree, const llb::CopyAction& copy,
                                      const PlanOptions& options) {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(copy.dest));
  const timespec made{kFixedTime, 0};
  const PlannedEntry like = created_directory(copy, ModeChange(), options, made);
  return internal::plan_make_dirs(tree, named, like);
}

}  // namespace kiln
