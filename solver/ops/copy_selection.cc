#include "solver/ops/copy_selection.h"

#include <fcntl.h>

#include <algorithm>

#include "base/glob.h"
#include "base/pattern_matcher.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr size_t kShownNames = 5;

/// What might have been meant: names in the directory that was reached, or the whole list if short.
std::string names_near(const TreeView& source, const RelPath& path) {
  // What lies on the disk, not what the view shows: a context is narrowed to the very paths that
  // were asked for. What an ignore rule hides stays hidden.
  const auto above = source.root().stat(path.parent(), FollowLast::kNo);
  if (above && *above && !S_ISDIR((*above)->st_mode))
    return quote(path.parent().absolute()) + " is not a directory";
  const auto directory = source.root().open(path.parent(), O_RDONLY | O_DIRECTORY);
  if (!directory) return {};
  const auto listed = list_dir(directory->get());
  if (!listed) return {};
  std::vector<std::string> names;
  for (const DirEntry& entry : *listed)
    if (source.hidden_by(path.parent().child(entry.name)).empty()) names.push_back(entry.name);
  const std::string closest = closest_match(path.name(), names);
  if (!closest.empty())
    return "did you mean " + quote(path.parent().child(closest).absolute()) + "?";
  if (names.empty()) return quote(path.parent().absolute()) + " is empty";
  const bool all = names.size() <= kShownNames;
  if (!all) names.resize(kShownNames);
  for (std::string& name : names) name = quote(name);
  return quote(path.parent().absolute()) + " holds " + join(names, ", ") + (all ? "" : ", …");
}

Error not_found(const TreeView& source, const RelPath& named, const RelPath& reached) {
  Error error(Code::kNotFound, quote(named.absolute()) + ": not found");
  const std::string rule = source.hidden_by(reached);
  if (!rule.empty()) return error.hint("it is excluded by the rule " + rule);
  // Names are helpful only beside the first component that is missing.
  RelPath missing = reached;
  for (RelPath up = reached.parent(); !missing.is_root(); missing = up, up = up.parent())
    if (source.root().open(up, O_PATH | O_NOFOLLOW)) break;
  std::string near = names_near(source, missing);
  if (reached != named)
    near = quote(named.absolute()) + " leads to " + quote(reached.absolute()) +
           (near.empty() ? "" : "; ") + near;
  return near.empty() ? error : error.hint(near);
}

Result<CopyMatch> make_match(const TreeView& source, const llb::CopyAction& copy,
                             const RelPath& named) {
  const FollowLast follow = copy.follow_symlink ? FollowLast::kYes : FollowLast::kNo;
  KILN_TRY_ASSIGN(RelPath path, resolve_in_tree(source, named, follow));
  KILN_TRY_ASSIGN(const auto st, source.stat(path));
  if (!st) return tl::unexpected(not_found(source, named, path));
  return CopyMatch{std::string(named.name()), std::move(path), *st, false};
}

/// Descends one pattern component a level: filepath.Match's wildcards never cross a "/".
Status expand(const TreeView& source, const llb::CopyAction& copy, const RelPath& at,
              std::span<const std::string_view> patterns, std::vector<CopyMatch>& matches) {
  KILN_TRY_ASSIGN(const auto st, source.stat(at));
  if (!st || !S_ISDIR(st->st_mode)) return {};
  KILN_TRY_ASSIGN(const auto entries, source.list(at));
  for (const TreeNames::Entry& entry : entries) {
    KILN_TRY_ASSIGN(const bool matched, glob_match(patterns.front(), entry.name));
    if (!matched) continue;
    const RelPath path = at.child(entry.name);
    if (patterns.size() > 1) {
      KILN_TRY(expand(source, copy, path, patterns.subspan(1), matches));
      continue;
    }
    KILN_TRY_ASSIGN(CopyMatch match, make_match(source, copy, path));
    match.by_wildcard = true;
    matches.push_back(std::move(match));
  }
  return {};
}

/// Required paths count from the source's root.
Status check_required(const TreeView& source, const llb::CopyAction& copy) {
  for (const std::string& required : copy.required_paths) {
    KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(required));
    KILN_TRY_ASSIGN(const RelPath path, resolve_in_tree(source, named, FollowLast::kNo));
    KILN_TRY_ASSIGN(const auto st, source.stat(path));
    if (!st) return tl::unexpected(not_found(source, named, path));
  }
  return {};
}

/// Walks one match. Directories are held back while only what is below them may be wanted.
class SelectionWalk {
 public:
  SelectionWalk(const TreeView& source, const std::stop_token& stop, const EntryVisitor& visit)
      : source_(source), stop_(stop), visit_(visit) {}

  Status run(const llb::CopyAction& copy, const CopyMatch& match) {
    KILN_TRY_ASSIGN(excludes_, PatternMatcher::compile(copy.exclude_patterns));
    KILN_TRY_ASSIGN(includes_, PatternMatcher::compile(copy.include_patterns));
    SelectedEntry top{match.path, match.path.str().size(), match.st};
    below_at_ = match.path.is_root() ? 0 : match.path.str().size() + 1;
    if (S_ISDIR(match.st.st_mode)) {
      KILN_TRY(visit_(top));
      return children(top, {}, {});
    }
    // A file that is named directly is judged by its own name.
    if (excludes_.matches(match.name)) return {};
    if (!includes_.empty() && !includes_.matches(match.name)) return {};
    return visit_(top);
  }

 private:
  using Parents = PatternMatcher::Parents;

  Status children(const SelectedEntry& directory, const Parents& excluded,
                  const Parents& included) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "copy cancelled");
    KILN_TRY_ASSIGN(auto entries, source_.list(directory.source));
    for (TreeNames::Entry& entry : entries) {
      const SelectedEntry next{directory.source.child(entry.name), below_at_, entry.st};
      KILN_TRY(consider(next, excluded, included));
    }
    return {};
  }

  Status consider(const SelectedEntry& entry, const Parents& excluded, const Parents& included) {
    const auto out = excludes_.match(entry.below(), excluded);
    const auto in = includes_.match(entry.below(), included);
    const bool wanted = !out.excluded && (includes_.empty() || in.excluded);
    if (!S_ISDIR(entry.st.st_mode)) return wanted ? emit(entry) : Status();
    if (out.excluded && excludes_.can_skip_directory(entry.below())) return {};
    if (wanted) {
      KILN_TRY(emit(entry));
      return children(entry, out.self, in.self);
    }
    held_back_.push_back(&entry);
    Status status = children(entry, out.self, in.self);
    if (!held_back_.empty() && held_back_.back() == &entry) held_back_.pop_back();
    return status;
  }

  Status emit(const SelectedEntry& entry) {
    for (const SelectedEntry* directory : held_back_) KILN_TRY(visit_(*directory));
    held_back_.clear();
    return visit_(entry);
  }

  const TreeView& source_;
  const std::stop_token& stop_;
  const EntryVisitor& visit_;
  PatternMatcher excludes_, includes_;
  size_t below_at_ = 0;
  std::vector<const SelectedEntry*> held_back_;  // of the frames above, outermost first
};

}  // namespace

Result<std::vector<CopyMatch>> select_matches(const TreeView& source, const llb::CopyAction& copy) {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted(copy.src));
  KILN_TRY(check_required(source, copy));
  std::vector<CopyMatch> matches;
  if (!copy.allow_wildcard || !has_wildcard(named.str())) {
    KILN_TRY_ASSIGN(CopyMatch match, make_match(source, copy, named));
    matches.push_back(std::move(match));
    return matches;
  }
  const std::vector<std::string_view> parts = named.components();
  const auto first = std::find_if(parts.begin(), parts.end(), has_wildcard);
  RelPath base;
  for (auto part = parts.begin(); part != first; ++part) base = base.child(*part);
  KILN_TRY_ASSIGN(base, resolve_in_tree(source, base, FollowLast::kYes));
  KILN_TRY(expand(source, copy, base, std::span(first, parts.end()), matches));
  if (matches.empty() && !copy.allow_empty_wildcard)
    return tl::unexpected(not_found(source, named, named));
  return matches;
}

Status visit_selection(const TreeView& source, const llb::CopyAction& copy, const CopyMatch& match,
                       const std::stop_token& stop, const EntryVisitor& visit) {
  return SelectionWalk(source, stop, visit).run(copy, match);
}

}  // namespace kiln
