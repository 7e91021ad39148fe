#include "solver/ops/content_digest.h"

#include <fcntl.h>
#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <atomic>
#include <deque>
#include <optional>
#include "base/guarded.h"
#include "snapshotter/tree_hash.h"
#include "solver/ops/copy_selection.h"
#include "solver/ops/xattrs.h"

namespace kiln {
namespace {

constexpr size_t kGrain = 64;

/// One entry before and after hashing; a whole stat would take most of the memory.
struct Hashed {
  RelPath source;
  size_t below_at;
  uint32_t mode, uid, gid;
  uint64_t size, special_device;
  std::optional<Digest> digest;
};

Hashed to_be_hashed(const SelectedEntry& entry) {
  const struct stat& st = entry.st;
  const uint64_t size = S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
  const uint64_t device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? st.st_rdev : 0;
  return {entry.source, entry.below_at, st.st_mode, st.st_uid,
          st.st_gid,    size,           device,     std::nullopt};
}

void add_text(Hasher& hasher, std::string_view text) {
  const uint64_t length = text.size();
  hasher.update(std::as_bytes(std::span(&length, 1)));
  hasher.update(text);
}

class Items {
 public:
  Items(const TreeView& source, const std::stop_token& stop) : source_(source), stop_(stop) {}

  uint64_t files() const { return files_; }

  Status add(const llb::CopyAction& copy, const CopyMatch& match) {
    return visit_selection(source_, copy, match, stop_, [this](const SelectedEntry& entry) {
      items_.push_back(to_be_hashed(entry));
      if (S_ISREG(entry.st.st_mode)) ++files_;
      return Status();
    });
  }

  /// Hashes what was added and feeds it to `into`, in order.
  Status flush(Hasher& into) {
    tbb::parallel_for(tbb::blocked_range<size_t>(0, items_.size(), kGrain), [this](auto& range) {
      FileScratch& scratch = scratches_.local();
      for (size_t i = range.begin(); i != range.end() && !failed_; ++i)
        note(hash(items_[i], scratch));
    });
    if (auto failure = failure_.lock(); failure->has_value()) return tl::unexpected(**failure);
    for (const Hashed& item : items_) {
      add_text(into, std::string_view(item.source.str()).substr(item.below_at));
      into.update(item.digest->bytes());
    }
    items_.clear();
    return {};
  }

 private:
  Status hash(Hashed& item, FileScratch& scratch) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "hashing cancelled");
    HashedEntry entry{};
    entry.st.st_mode = item.mode;
    entry.st.st_uid = item.uid;
    entry.st.st_gid = item.gid;
    entry.st.st_size = static_cast<off_t>(item.size);
    entry.st.st_rdev = item.special_device;
    if (S_ISLNK(item.mode)) {
      KILN_TRY_ASSIGN(entry.link_target, source_.read_link(item.source));
    }
    if (S_ISREG(item.mode)) {
      KILN_TRY_ASSIGN(FileContent content, source_.file_content(item.source, scratch));
      entry.data = content.data;
      entry.xattrs = std::move(content.xattrs);
    }
    if (S_ISDIR(item.mode) && source_.has_xattrs()) {
      KILN_TRY_ASSIGN(const Fd fd,
                      source_.root().open(item.source, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
      entry.xattrs = read_xattrs(fd);
    }
    item.digest = hash_entry(entry);
    return {};
  }

  void note(const Status& status) {
    if (status) return;
    failed_ = true;
    auto failure = failure_.lock();
    if (!failure->has_value()) failure->emplace(status.error());
  }

  const TreeView& source_;
  const std::stop_token& stop_;
  std::deque<Hashed> items_;
  uint64_t files_ = 0;  // added since it was made
  tbb::enumerable_thread_specific<FileScratch> scratches_;
  std::atomic<bool> failed_{false};
  Guarded<std::optional<Error>> failure_;
};

struct Selection {
  const llb::CopyAction* copy;
  std::vector<CopyMatch> matches;
};

// A literal name is in the op's key; one that a wildcard found is what the copy will be called.
std::string_view name_of(const CopyMatch& match) {
  return match.by_wildcard ? std::string_view(match.name) : std::string_view();
}

// Names what is to be hashed without reading a file: nullopt where the view cannot tell.
std::optional<Digest> selection_key(const TreeView& source, std::span<const Selection> selections) {
  Hasher hasher;
  add_text(hasher, "kiln.selection.v1");
  const auto add_list = [&](const std::vector<std::string>& list) {
    add_text(hasher, std::to_string(list.size()));
    for (const std::string& one : list) add_text(hasher, one);
  };
  for (const auto& [copy, matches] : selections) {
    add_list(copy->include_patterns);
    add_list(copy->exclude_patterns);
    add_text(hasher, std::to_string(matches.size()));
    for (const CopyMatch& match : matches) {
      const auto seen = source.fingerprint(match.path);
      if (!seen) return std::nullopt;
      add_text(hasher, name_of(match));
      hasher.update(seen->bytes());
    }
  }
  return hasher.finish();
}

Result<Digest> hash_selections(std::span<const Selection> selections, Items& items) {
  Hasher hasher;
  add_text(hasher, "kiln.content.v1");
  for (const auto& [copy, matches] : selections) {
    add_text(hasher, "copy");
    for (const CopyMatch& match : matches) {
      add_text(hasher, name_of(match));
      KILN_TRY(items.add(*copy, match));
      KILN_TRY(items.flush(hasher));
    }
  }
  return hasher.finish();
}

}  // namespace

Result<Digest> selection_digest(const TreeView& source,
                                std::span<const llb::CopyAction* const> copies,
                                const std::stop_token& stop) {
  std::vector<Selection> selections;
  for (const llb::CopyAction* copy : copies) {
    KILN_TRY_ASSIGN(auto matches, select_matches(source, *copy));
    selections.push_back({copy, std::move(matches)});
  }
  const std::optional<Digest> key = selection_key(source, selections);
  if (key) {
    if (const auto known = source.known_selection(*key)) return *known;
  }
  Items items(source, stop);
  KILN_TRY_ASSIGN(const Digest digest, hash_selections(selections, items));
  if (key) source.remember_selection(*key, digest, items.files());
  source.save_digests();
  return digest;
}

Result<Digest> path_digest(const TreeView& source, const std::string& path,
                           const std::stop_token& stop) {
  llb::CopyAction all;
  all.src = path;
  all.follow_symlink = true;
  const llb::CopyAction* copies[] = {&all};
  return selection_digest(source, copies, stop);
}

}  // namespace kiln
