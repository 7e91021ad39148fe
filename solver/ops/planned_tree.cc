#include "solver/ops/planned_tree.h"

#include <algorithm>

#include "base/strings.h"

namespace kiln {
namespace {

using State = PlannedNode::State;

struct stat stat_of(const PlannedEntry& entry) {
  struct stat st {};
  st.st_mode = entry.mode;
  st.st_uid = entry.uid;
  st.st_gid = entry.gid;
  st.st_mtim = entry.mtime;
  st.st_size = static_cast<off_t>(entry.size);
  st.st_rdev = entry.special_device;
  st.st_nlink = 1;
  return st;
}

struct stat empty_root() {
  struct stat st {};
  st.st_mode = S_IFDIR | 0755;
  return st;
}

}  // namespace

/// One step down. What is below something that is fresh, removed or no directory hides the base.
void PlannedTree::descend(Lookup& at, std::string_view name) {
  if (at.node == nullptr) return;
  const PlannedNode& node = *at.node;
  const bool is_file = node.state == State::kPut && !S_ISDIR(node.entry.mode);
  if (node.state == State::kRemoved || node.fresh || is_file) at.base_visible = false;
  const auto child = node.children.find(name);
  at.node = child == node.children.end() ? nullptr : child->second.get();
}

PlannedTree::Lookup PlannedTree::find_directory(const RelPath& path) const {
  const std::string& text = path.str();
  const size_t slash = text.rfind('/');
  const std::string_view directory =
      std::string_view(text).substr(0, slash == std::string::npos ? 0 : slash);
  if (last_ && last_path_ == directory) return *last_;
  Lookup found{&top_, base_ != nullptr};
  for (size_t at = 0; at < directory.size() && found.node != nullptr;) {
    const size_t end = std::min(directory.find('/', at), directory.size());
    descend(found, directory.substr(at, end - at));
    at = end + 1;
  }
  last_path_ = directory;
  last_ = found;
  return found;
}

PlannedTree::Lookup PlannedTree::find(const RelPath& path) const {
  if (path.is_root()) return Lookup{&top_, base_ != nullptr};
  Lookup found = find_directory(path);
  descend(found, path.name());
  return found;
}

Result<std::optional<struct stat>> PlannedTree::stat(const RelPath& path) const {
  const Lookup found = find(path);
  if (found.node != nullptr && found.node->state == State::kPut)
    return std::optional(stat_of(found.node->entry));
  if (found.node != nullptr && found.node->state == State::kRemoved) return std::nullopt;
  if (path.is_root() && base_ == nullptr) return std::optional(empty_root());
  if (!found.base_visible) return std::nullopt;
  return base_->stat(path);
}

Result<bool> PlannedTree::base_has(const RelPath& path) const {
  if (base_ == nullptr) return false;
  KILN_TRY_ASSIGN(const auto st, base_->stat(path));
  return st.has_value();
}

Result<std::vector<TreeNames::Entry>> PlannedTree::list(const RelPath& directory) const {
  KILN_TRY_ASSIGN(const auto st, stat(directory));
  if (!st) return fail(Code::kNotFound, quote(directory.absolute()) + ": not found");
  if (!S_ISDIR(st->st_mode))
    return fail(Code::kInvalidArgument, quote(directory.absolute()) + ": not a directory");
  const Lookup found = find(directory);
  std::vector<Entry> entries;
  if (found.base_visible && (found.node == nullptr || !found.node->fresh)) {
    KILN_TRY_ASSIGN(const auto base_st, base_->stat(directory));
    if (base_st && S_ISDIR(base_st->st_mode)) {
      KILN_TRY_ASSIGN(entries, base_->list(directory));
    }
  }
  if (found.node == nullptr) return entries;
  std::erase_if(entries, [&](const Entry& entry) {
    const auto child = found.node->children.find(entry.name);
    return child != found.node->children.end() && child->second->state != State::kUntouched;
  });
  for (const auto& [name, child] : found.node->children)
    if (child->state == State::kPut) entries.push_back({name, stat_of(child->entry)});
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

Result<std::string> PlannedTree::read_link(const RelPath& path) const {
  const Lookup found = find(path);
  if (found.node != nullptr && found.node->state == State::kPut) return found.node->entry.text;
  if (!found.base_visible) return fail(Code::kNotFound, quote(path.absolute()) + ": not found");
  return base_->read_link(path);
}

Result<PlannedNode*> PlannedTree::make_parent(const RelPath& path) {
  if (const Lookup known = find_directory(path); known.node != nullptr)
    return const_cast<PlannedNode*>(known.node);  // all nodes are ours to change
  last_.reset();                                  // it says that there is no node
  PlannedNode* node = &top_;
  const RelPath parent = path.parent();
  for (const std::string_view name : parent.components()) {
    auto found = node->children.find(name);
    if (found == node->children.end())
      found = node->children.emplace(std::string(name), std::make_unique<PlannedNode>()).first;
    node = found->second.get();
  }
  return node;
}

/// Leaves the last lookup at the parent, so that what happens to the node does not matter to it.
Result<PlannedNode*> PlannedTree::make_node(const RelPath& path) {
  if (path.is_root()) return &top_;
  KILN_TRY_ASSIGN(PlannedNode * parent, make_parent(path));
  if (parent->state == State::kRemoved ||
      (parent->state == State::kPut && !S_ISDIR(parent->entry.mode)))
    return fail(Code::kInternal, quote(path.absolute()) + ": its parent is no directory");
  auto found = parent->children.find(path.name());
  if (found == parent->children.end())
    found =
        parent->children.emplace(std::string(path.name()), std::make_unique<PlannedNode>()).first;
  return found->second.get();
}

Status PlannedTree::put(const RelPath& path, PlannedEntry entry) {
  // A lookup per entry is only paid where the base can be seen: not below what is fresh.
  const Lookup before = find(path);
  std::optional<struct stat> there;
  if (before.node != nullptr || before.base_visible) {
    KILN_TRY_ASSIGN(there, stat(path));
  }
  const bool merges = there && S_ISDIR(there->st_mode) && S_ISDIR(entry.mode);
  KILN_TRY_ASSIGN(PlannedNode * node, make_node(path));
  if (!merges) {
    if (before.base_visible && S_ISDIR(entry.mode)) {
      KILN_TRY_ASSIGN(const bool covers, base_has(path));
      // A directory over a plain file of the base replaces it in a layer by itself.
      if (covers) {
        KILN_TRY_ASSIGN(const auto base_st, base_->stat(path));
        hides_base_ = hides_base_ || S_ISDIR(base_st->st_mode);
      }
    }
    node->children.clear();
    node->fresh = S_ISDIR(entry.mode);
  }
  node->state = State::kPut;
  node->entry = std::move(entry);
  return {};
}

Status PlannedTree::remove(const RelPath& path) {
  const Lookup before = find(path);
  const bool base_visible = before.base_visible;
  KILN_TRY_ASSIGN(const auto there, stat(path));
  if (!there) return {};
  bool covers = false;
  if (base_visible) {
    KILN_TRY_ASSIGN(covers, base_has(path));
  }
  hides_base_ = hides_base_ || covers;
  KILN_TRY_ASSIGN(PlannedNode * node, make_node(path));
  node->children.clear();
  node->fresh = false;
  node->entry = PlannedEntry{};
  // Kept as a mark even where the base has nothing: a backend that finds nothing there is content.
  node->state = State::kRemoved;
  return {};
}

}  // namespace kiln
