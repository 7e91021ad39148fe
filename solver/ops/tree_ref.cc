#include "solver/ops/tree_ref.h"

#include <deque>

namespace kiln {
namespace {

constexpr int kMaxLinks = 255;

void push_front_components(std::deque<std::string>& pending, std::string_view text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('/', at), text.size());
    if (end > at) parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  pending.insert(pending.begin(), parts.begin(), parts.end());
}

}  // namespace

Result<Fd> TreeView::open_file(const RelPath& path, FileScratch& scratch) const {
  return scratch.open(root(), path);
}

Status TreeView::check_unchanged(const RelPath& /*path*/, const Fd& /*file*/) const {
  return {};
}

std::optional<Digest> TreeView::fingerprint(const RelPath& /*path*/) const {
  return std::nullopt;
}

std::optional<Digest> TreeView::known_selection(const Digest& /*key*/) const {
  return std::nullopt;
}

void TreeView::remember_selection(const Digest& /*key*/, const Digest& /*digest*/,
                                  uint64_t /*files*/) const {}

std::string TreeView::hidden_by(const RelPath& /*path*/) const {
  return {};
}

Result<TreeRef*> as_tree(Ref& ref) {
  auto* tree = dynamic_cast<TreeRef*>(&ref);
  if (tree == nullptr) return fail(Code::kInternal, "an input is no file tree");
  return tree;
}

Result<RelPath> resolve_in_tree(const TreeNames& tree, const RelPath& path, FollowLast follow) {
  std::deque<std::string> pending;
  push_front_components(pending, path.str());
  RelPath at;
  for (int links = 0; !pending.empty();) {
    const std::string name = std::move(pending.front());
    pending.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      at = at.parent();
      continue;
    }
    const RelPath next = at.child(name);
    at = next;
    if (pending.empty() && follow == FollowLast::kNo) break;
    KILN_TRY_ASSIGN(const auto st, tree.stat(next));
    if (!st || !S_ISLNK(st->st_mode)) continue;
    if (++links > kMaxLinks)
      return fail(Code::kInvalidArgument, "\"" + path.absolute() + "\": too many symbolic links");
    KILN_TRY_ASSIGN(const std::string target, tree.read_link(next));
    at = target.starts_with('/') ? RelPath() : next.parent();
    push_front_components(pending, target);
  }
  return at;
}

}  // namespace kiln
