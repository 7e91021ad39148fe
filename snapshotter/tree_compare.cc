#include "snapshotter/tree_compare.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <set>

#include "base/io.h"
#include "base/strings.h"

namespace kiln {
namespace {

using What = TreeChange::What;
using Stat = struct stat;

constexpr size_t kNamed = 3;  // paths a line

std::string owner_text(const Stat& st) {
  return std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid);
}

std::string mode_text(const Stat& st) {
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "%04o", st.st_mode & 07777U);  // fits any mode
  return text.data();
}

class TreeComparison {
 public:
  TreeComparison(const Root& now, const Root& before, const RelPath& at,
                 const TreeCompareLimits& limits, const std::stop_token& stop)
      : now_(now), before_(before), at_(at), left_(limits), stop_(stop) {}

  Status compare(const RelPath& path, const std::string& shown) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "cancelled while comparing");
    if (left_.entries == 0) return {};
    --left_.entries;
    KILN_TRY_ASSIGN(const auto now, now_.stat(path, FollowLast::kNo));
    KILN_TRY_ASSIGN(const auto before, before_.stat(path, FollowLast::kNo));
    if (!now && !before) return {};
    if (!now || !before) return add(now ? What::kAdded : What::kRemoved, shown);
    const bool directories = S_ISDIR(now->st_mode) && S_ISDIR(before->st_mode);
    if (!directories) {
      KILN_TRY_ASSIGN(const bool same, has_same_content(path, *now, *before));
      if (!same) KILN_TRY(add(What::kContent, shown));
    }
    compare_metadata(shown, *now, *before);
    return directories ? compare_entries(path, shown) : Status();
  }

  std::vector<TreeChange> take() { return std::move(changes_); }

 private:
  std::string name_of(const std::string& shown) const {
    return shown.empty() ? at_.absolute() : shown;
  }

  Status add(What what, const std::string& shown) {
    changes_.push_back({what, name_of(shown), {}, {}});
    return {};
  }

  void compare_metadata(const std::string& shown, const Stat& now, const Stat& before) {
    const bool links = S_ISLNK(now.st_mode) && S_ISLNK(before.st_mode);
    if (!links && mode_text(now) != mode_text(before))
      changes_.push_back({What::kMode, name_of(shown), mode_text(now), mode_text(before)});
    if (owner_text(now) != owner_text(before))
      changes_.push_back({What::kOwner, name_of(shown), owner_text(now), owner_text(before)});
  }

  static Result<std::vector<DirEntry>> entries(const Root& root, const RelPath& path) {
    KILN_TRY_ASSIGN(const Fd fd, root.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    return list_dir(fd.get());
  }

  Status compare_entries(const RelPath& path, const std::string& shown) {
    std::set<std::string> names;
    for (const Root* root : {&now_, &before_}) {
      KILN_TRY_ASSIGN(const auto found, entries(*root, path));
      for (const DirEntry& entry : found) names.insert(entry.name);
    }
    for (const std::string& name : names)
      KILN_TRY(compare(path.child(name),
                       shown.empty() ? name : std::string(shown).append("/").append(name)));
    return {};
  }

  Result<bool> has_same_content(const RelPath& path, const Stat& now, const Stat& before) {
    if ((now.st_mode & S_IFMT) != (before.st_mode & S_IFMT)) return false;
    if (S_ISLNK(now.st_mode)) {
      KILN_TRY_ASSIGN(const std::string target, now_.read_link(path));
      KILN_TRY_ASSIGN(const std::string was, before_.read_link(path));
      return target == was;
    }
    if (!S_ISREG(now.st_mode)) return now.st_rdev == before.st_rdev;
    if (now.st_size != before.st_size) return false;
    if (now.st_dev == before.st_dev && now.st_ino == before.st_ino) return true;
    const auto bytes = static_cast<uint64_t>(now.st_size);
    if (bytes > left_.read_bytes) return now.st_mtim.tv_sec == before.st_mtim.tv_sec;
    left_.read_bytes -= bytes;
    return has_same_bytes(path);
  }

  Result<bool> has_same_bytes(const RelPath& path) {
    constexpr size_t kBlock = 256U << 10U;
    std::vector<std::byte> now(kBlock), before(kBlock);
    KILN_TRY_ASSIGN(FdSource a, open_file(now_, path));
    KILN_TRY_ASSIGN(FdSource b, open_file(before_, path));
    for (;;) {
      KILN_TRY_ASSIGN(const size_t n, a.read(now));
      if (n == 0) return true;
      for (size_t have = 0; have < n;) {
        KILN_TRY_ASSIGN(const size_t m, b.read(std::span(before).subspan(have, n - have)));
        if (m == 0) return false;
        have += m;
      }
      if (!std::equal(now.begin(), now.begin() + static_cast<std::ptrdiff_t>(n), before.begin()))
        return false;
    }
  }

  static Result<FdSource> open_file(const Root& root, const RelPath& path) {
    KILN_TRY_ASSIGN(Fd fd, root.open(path, O_RDONLY | O_NONBLOCK, 0, FollowLast::kNo));
    return FdSource(std::move(fd), path.absolute());
  }

  const Root& now_;
  const Root& before_;
  const RelPath& at_;
  TreeCompareLimits left_;
  const std::stop_token& stop_;
  std::vector<TreeChange> changes_;
};

std::string listed(const std::vector<const TreeChange*>& changes) {
  std::string text;
  const size_t named = std::min(changes.size(), kNamed);
  for (size_t i = 0; i < named; ++i) {
    if (i > 0) text += i + 1 == changes.size() ? " and " : ", ";
    text += printable(changes[i]->path);
  }
  if (changes.size() > named) text += " and " + std::to_string(changes.size() - named) + " more";
  return text;
}

std::string line_of(What what, const std::vector<const TreeChange*>& changes) {
  std::string paths = listed(changes);
  const TreeChange& first = *changes.front();
  const std::string from_to = " (" + first.before + " became " + first.now + ")";
  switch (what) {
    case What::kAdded:
      return "new: " + paths;
    case What::kRemoved:
      return "gone: " + paths;
    case What::kContent:
      return "changed: " + paths;
    case What::kMode:
      return "mode changed: " + paths + from_to;
    case What::kOwner:
      return "owner changed: " + paths + from_to;
  }
  return paths;
}

}  // namespace

Result<std::vector<TreeChange>> compare_trees(const Root& now, const Root& before,
                                              const RelPath& at, const TreeCompareLimits& limits,
                                              const std::stop_token& stop) {
  TreeComparison comparison(now, before, at, limits, stop);
  KILN_TRY(comparison.compare(at, ""));
  return comparison.take();
}

std::vector<std::string> describe_changes(const std::vector<TreeChange>& changes) {
  std::vector<std::string> lines;
  for (const What what :
       {What::kContent, What::kAdded, What::kRemoved, What::kMode, What::kOwner}) {
    std::vector<const TreeChange*> of_it;
    for (const TreeChange& change : changes)
      if (change.what == what) of_it.push_back(&change);
    if (!of_it.empty()) lines.push_back(line_of(what, of_it));
  }
  return lines;
}

}  // namespace kiln
