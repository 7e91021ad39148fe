#include "solver/ops/file_plan.h"

#include <algorithm>

#include "base/glob.h"
#include "base/strings.h"
#include "solver/ops/make_dirs_plan.h"

namespace kiln {
namespace {

constexpr int64_t kNanoseconds = 1'000'000'000;

timespec time_of(int64_t nanoseconds) {
  int64_t seconds = nanoseconds / kNanoseconds;
  int64_t rest = nanoseconds % kNanoseconds;
  if (rest < 0) {
    rest += kNanoseconds;
    --seconds;
  }
  return {seconds, rest};
}

timespec creation_time(int64_t timestamp, const PlanOptions& options) {
  if (timestamp != -1) return time_of(timestamp);
  return {options.source_date_epoch.value_or(kFixedTime), 0};
}

PlannedEntry directory_entry(uint32_t permissions, const PlanOptions& options, timespec mtime) {
  PlannedEntry entry;
  entry.mode = S_IFDIR | (permissions & 07777U);
  const Owner owner = options.owner.value_or(Owner{});
  entry.uid = owner.uid;
  entry.gid = owner.gid;
  entry.mtime = mtime;
  return entry;
}

/// The last component of a path is followed too.
Result<RelPath> resolve_target(const PlannedTree& tree, std::string_view path) {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(path));
  return resolve_in_tree(tree, named, FollowLast::kYes);
}

Result<RelPath> resolve_entry(const PlannedTree& tree, std::string_view path) {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(path));
  return resolve_in_tree(tree, named, FollowLast::kNo);
}

Status check_parent(const PlannedTree& tree, const RelPath& path, std::string_view named) {
  KILN_TRY_ASSIGN(const auto st, tree.stat(path.parent()));
  if (!st)
    return fail(Code::kNotFound, "failed to stat " + std::string(named) + ": no such directory " +
                                     path.parent().absolute());
  if (!S_ISDIR(st->st_mode))
    return fail(Code::kInvalidArgument, path.parent().absolute() + ": not a directory");
  return {};
}

}  // namespace

Status plan_mkdir(PlannedTree& tree, const llb::MkDirAction& mkdir, const PlanOptions& options) {
  const PlannedEntry like = directory_entry(static_cast<uint32_t>(mkdir.mode), options,
                                            creation_time(mkdir.timestamp, options));
  KILN_TRY_ASSIGN(const RelPath path, resolve_target(tree, mkdir.path));
  if (mkdir.make_parents) {
    KILN_TRY(internal::plan_make_dirs(tree, path, like));
    return {};
  }
  KILN_TRY_ASSIGN(const auto there, tree.stat(path));
  if (there && S_ISDIR(there->st_mode)) return {};
  if (there) return fail(Code::kAlreadyExists, "mkdir " + path.absolute() + ": file exists");
  KILN_TRY(check_parent(tree, path, mkdir.path));
  return tree.put(path, like);
}

Status plan_mkfile(PlannedTree& tree, const llb::MkFileAction& mkfile, const PlanOptions& options) {
  KILN_TRY_ASSIGN(const RelPath path, resolve_target(tree, mkfile.path));
  KILN_TRY(check_parent(tree, path, mkfile.path));
  KILN_TRY_ASSIGN(const auto there, tree.stat(path));
  if (there && S_ISDIR(there->st_mode))
    return fail(Code::kInvalidArgument, "open " + path.absolute() + ": is a directory");
  PlannedEntry entry = directory_entry(static_cast<uint32_t>(mkfile.mode), options,
                                       creation_time(mkfile.timestamp, options));
  entry.mode = S_IFREG | (static_cast<uint32_t>(mkfile.mode) & 07777U);
  entry.size = mkfile.data.size();
  entry.text = mkfile.data;
  return tree.put(path, std::move(entry));
}

Status plan_symlink(PlannedTree& tree, const llb::SymlinkAction& symlink,
                    const PlanOptions& options) {
  KILN_TRY_ASSIGN(const RelPath path, resolve_entry(tree, symlink.newpath));
  KILN_TRY(check_parent(tree, path, symlink.newpath));
  KILN_TRY_ASSIGN(const auto there, tree.stat(path));
  if (there) return fail(Code::kAlreadyExists, "symlink " + path.absolute() + ": file exists");
  PlannedEntry entry = directory_entry(0, options, creation_time(symlink.timestamp, options));
  entry.mode = S_IFLNK | 0777;
  entry.text = symlink.oldpath;
  return tree.put(path, std::move(entry));
}

namespace {

Status remove_one(PlannedTree& tree, const RelPath& path, const llb::RmAction& rm) {
  if (path.is_root()) return fail(Code::kInvalidArgument, "cannot remove \"/\"");
  KILN_TRY_ASSIGN(const auto there, tree.stat(path));
  if (!there && !rm.allow_not_found)
    return fail(Code::kNotFound, "remove " + quote(path.absolute()) + ": not found");
  return tree.remove(path);
}

/// All paths first: removing must not change what is walked.
Status expand(const PlannedTree& tree, const RelPath& at,
              std::span<const std::string_view> patterns, std::vector<RelPath>& found) {
  KILN_TRY_ASSIGN(const auto st, tree.stat(at));
  if (!st || !S_ISDIR(st->st_mode)) return {};
  KILN_TRY_ASSIGN(const auto entries, tree.list(at));
  for (const TreeNames::Entry& entry : entries) {
    KILN_TRY_ASSIGN(const bool matched, glob_match(patterns.front(), entry.name));
    if (!matched) continue;
    if (patterns.size() > 1) {
      KILN_TRY(expand(tree, at.child(entry.name), patterns.subspan(1), found));
    } else {
      found.push_back(at.child(entry.name));
    }
  }
  return {};
}

}  // namespace

Status plan_rm(PlannedTree& tree, const llb::RmAction& rm) {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(rm.path));
  if (!rm.allow_wildcard || !has_wildcard(named.str())) {
    KILN_TRY_ASSIGN(const RelPath path, resolve_in_tree(tree, named, FollowLast::kNo));
    return remove_one(tree, path, rm);
  }
  const std::vector<std::string_view> parts = named.components();
  const auto first = std::find_if(parts.begin(), parts.end(), has_wildcard);
  RelPath base;
  for (auto part = parts.begin(); part != first; ++part) base = base.child(*part);
  KILN_TRY_ASSIGN(base, resolve_in_tree(tree, base, FollowLast::kYes));
  std::vector<RelPath> found;
  KILN_TRY(expand(tree, base, std::span(first, parts.end()), found));
  for (const RelPath& path : found) KILN_TRY(remove_one(tree, path, rm));
  return {};
}

namespace internal {

Result<RelPath> plan_make_dirs(PlannedTree& tree, const RelPath& path, const PlannedEntry& like) {
  RelPath at;
  for (const std::string_view name : path.components()) {
    const RelPath next = at.child(name);
    KILN_TRY_ASSIGN(at, resolve_in_tree(tree, next, FollowLast::kYes));
    KILN_TRY_ASSIGN(const auto st, tree.stat(at));
    if (st && S_ISDIR(st->st_mode)) continue;
    if (st) return fail(Code::kInvalidArgument, "mkdir " + at.absolute() + ": not a directory");
    if (at == next) {
      KILN_TRY(tree.put(at, like));
    } else {
      // The link leads to where nothing is: its parents may be missing as well.
      KILN_TRY_ASSIGN(at, plan_make_dirs(tree, at, like));
    }
  }
  return at;
}

}  // namespace internal
}  // namespace kiln
