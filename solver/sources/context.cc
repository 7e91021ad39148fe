#include "solver/sources/context.h"

#include <fcntl.h>

#include <atomic>
#include <ctime>
#include <mutex>

#include "base/pattern_matcher.h"
#include "base/strings.h"
#include "solver/sources/context_tree.h"
#include "solver/sources/context_walk.h"
#include "solver/sources/follow_paths.h"

namespace kiln {
namespace {

using internal::ContextDirectory;
using internal::ContextEntry;

Error changed(const RelPath& path) {
  return Error(Code::kFailedPrecondition,
               "context file " + quote(path.absolute()) + " changed while the build was using it")
      .hint("build again, or exclude what is being written to in .dockerignore");
}

/// What ref and views share. Constant after open_context but for digests.
struct ContextState {
  ContextState(Root directory, ContextEntry root_entry)
      : root(std::move(directory)), top(std::move(root_entry)) {}

  const ContextEntry* find(const RelPath& path) const {
    const ContextEntry* at = &top;
    for (const std::string_view name : path.components()) {
      if (!at->directory) return nullptr;
      at = at->directory->find(name);
      if (at == nullptr) return nullptr;
    }
    return at;
  }

  const Root root;
  ContextEntry top;
  std::string ignore_file;
  std::vector<std::string> exclude_patterns;
  std::shared_ptr<StatCache> digests;
  mutable std::atomic<bool> has_new_digests{false};
};

class ContextView : public TreeView {
 public:
  explicit ContextView(std::shared_ptr<const ContextState> state) : state_(std::move(state)) {}
  const Root& root() const override { return state_->root; }
  bool filtered() const override { return true; }
  bool has_xattrs() const override { return false; }

  Result<std::optional<struct stat>> stat(const RelPath& path) const override {
    const ContextEntry* entry = state_->find(path);
    if (entry == nullptr) return std::nullopt;
    return entry->to_stat();
  }

  Result<std::vector<Entry>> list(const RelPath& directory) const override {
    const ContextEntry* entry = state_->find(directory);
    if (entry == nullptr) return fail(Code::kNotFound, quote(directory.absolute()) + ": not found");
    if (!entry->directory)
      return fail(Code::kInvalidArgument, quote(directory.absolute()) + ": not a directory");
    std::vector<Entry> entries;
    entries.reserve(entry->directory->entries.size());
    for (const ContextEntry& child : entry->directory->entries)
      entries.push_back({child.name, child.to_stat()});
    return entries;
  }

  Result<std::string> read_link(const RelPath& path) const override {
    const ContextEntry* entry = state_->find(path);
    if (entry == nullptr || !S_ISLNK(entry->mode))
      return fail(Code::kInvalidArgument, quote(path.absolute()) + ": not a symbolic link");
    return entry->link_target;
  }

  Result<FileContent> file_content(const RelPath& path, FileScratch& scratch) const override;
  Result<Fd> open_file(const RelPath& path, FileScratch& scratch) const override;
  Status check_unchanged(const RelPath& path, const Fd& file) const override;
  std::string hidden_by(const RelPath& path) const override;

  std::optional<Digest> fingerprint(const RelPath& path) const override;
  std::optional<Digest> known_selection(const Digest& key) const override {
    return state_->digests ? state_->digests->find_selection(key) : std::nullopt;
  }
  void remember_selection(const Digest& key, const Digest& digest, uint64_t files) const override {
    if (!state_->digests) return;
    state_->digests->insert_selection(key, digest, files);
    state_->has_new_digests = true;
  }

  void save_digests() const override {
    // A cache that cannot be written costs time in the next build, never this one.
    if (state_->digests && state_->has_new_digests.exchange(false)) (void)state_->digests->save();
  }

 private:
  std::shared_ptr<const ContextState> state_;
};

Result<FileContent> ContextView::file_content(const RelPath& path, FileScratch& scratch) const {
  const ContextEntry* entry = state_->find(path);
  if (entry == nullptr) return fail(Code::kNotFound, quote(path.absolute()) + ": not found");
  if (const auto known = entry->digest()) return FileContent{*known, {}};
  const struct stat seen = entry->to_stat();
  StatCache* cache = state_->digests.get();
  if (cache != nullptr) {
    if (const auto kept = cache->find(seen)) {
      entry->set_digest(*kept);
      return FileContent{*kept, {}};
    }
  }
  KILN_TRY_ASSIGN(const int directory, scratch.directory_of(state_->root, path));
  KILN_TRY_ASSIGN(const internal::HashedFile read,
                  internal::read_and_hash(directory, seen, path, cache, scratch.hash_worker()));
  if (!entry->is_same_file(read.st)) return tl::unexpected(changed(path));
  entry->set_digest(read.data);
  state_->has_new_digests = true;
  return FileContent{read.data, {}};
}

std::optional<Digest> ContextView::fingerprint(const RelPath& path) const {
  const ContextEntry* entry = state_->find(path);
  if (entry == nullptr || !state_->digests) return std::nullopt;
  return internal::fingerprint_of(*entry, std::time(nullptr));
}

Result<Fd> ContextView::open_file(const RelPath& path, FileScratch& scratch) const {
  auto file = scratch.open(state_->root, path);
  if (!file && file.error().code() == Code::kNotFound) return tl::unexpected(changed(path));
  return file;
}

Status ContextView::check_unchanged(const RelPath& path, const Fd& file) const {
  const ContextEntry* entry = state_->find(path);
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) return fail_errno("stat", path.absolute());
  if (entry == nullptr || !entry->is_same_file(st)) return tl::unexpected(changed(path));
  return {};
}

std::string ContextView::hidden_by(const RelPath& path) const {
  const auto& patterns = state_->exclude_patterns;
  for (size_t i = patterns.size(); i-- > 0;) {
    auto matcher = PatternMatcher::compile({patterns[i]});
    if (!matcher || !matcher->matches(path.str())) continue;
    return quote(patterns[i]) +
           (state_->ignore_file.empty() ? std::string() : " in " + state_->ignore_file);
  }
  return {};
}

class ContextRef : public TreeRef {
 public:
  ContextRef(std::shared_ptr<const ContextState> state, MaterializeView materialize)
      : state_(std::move(state)), materialize_(std::move(materialize)) {}

  Result<std::optional<CacheResult>> cache_result() override { return std::nullopt; }

  Result<std::optional<SnapshotId>> snapshot(std::stop_token stop) override {
    // Held over the copy: whoever else asks needs the same copy and has to wait for it.
    const std::scoped_lock lock(mutex_);
    if (!copied_) {
      KILN_TRY_ASSIGN(copy_, materialize_(ContextView(state_), std::move(stop)));
      copied_ = true;
    }
    return copy_;
  }

  Result<std::unique_ptr<TreeView>> open(std::stop_token /*stop*/) override {
    return std::make_unique<ContextView>(state_);
  }

 private:
  const std::shared_ptr<const ContextState> state_;
  const MaterializeView materialize_;
  std::mutex mutex_;  // protects copied_ and copy_
  bool copied_ = false;
  std::optional<SnapshotId> copy_;
};

Result<ContextEntry> root_entry(const Root& root, const std::string& directory) {
  struct stat st {};
  if (::fstat(root.fd(), &st) != 0) return fail_errno("stat", directory);
  // The mode of a checkout's top directory (0700 from mktemp -d, say) is no part of what is built.
  st.st_mode = S_IFDIR | 0755;
  return ContextEntry::of("", st);
}

}  // namespace

Result<std::shared_ptr<TreeRef>> open_context(const LocalContext& context, ContextOptions options,
                                              std::stop_token stop) {
  auto opened = Root::open(context.directory);
  if (!opened) return tl::unexpected(opened.error().wrap("open the build context"));
  KILN_TRY_ASSIGN(ContextEntry entry, root_entry(*opened, context.directory));
  auto state = std::make_shared<ContextState>(std::move(*opened), std::move(entry));
  state->ignore_file = context.ignore_file;
  state->exclude_patterns = context.exclude_patterns;
  const ContextSelection& selection = options.selection;
  state->exclude_patterns.insert(state->exclude_patterns.end(), selection.exclude_patterns.begin(),
                                 selection.exclude_patterns.end());
  internal::WalkRules rules;
  KILN_TRY_ASSIGN(rules.excludes, PatternMatcher::compile(state->exclude_patterns));
  KILN_TRY_ASSIGN(rules.includes, PatternMatcher::compile(selection.include_patterns));
  std::unique_ptr<internal::FollowTree> only;
  if (!selection.follow_paths.empty()) {
    KILN_TRY_ASSIGN(only, internal::follow_paths(state->root, selection.follow_paths, stop));
    rules.only = only.get();
  }
  KILN_TRY_ASSIGN(state->top.directory, internal::walk_context(state->root, rules, stop));
  state->digests = std::move(options.digests);
  return std::make_shared<ContextRef>(std::move(state), std::move(options.materialize));
}

}  // namespace kiln
