#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "snapshotter/change_writer.h"
#include "snapshotter/hardlink_groups.h"
#include "snapshotter/layer_diff.h"

namespace kiln {
namespace {

using internal::Changed;
using internal::ChangeWriter;
using internal::Child;
using internal::HardlinkGroups;

constexpr size_t kCompareBytes = 64U << 10U;

bool is_absent(const struct stat& st) {
  return internal::is_whiteout_device(st) || S_ISSOCK(st.st_mode);
}

// As much as there is, up to the buffer's size.
Result<size_t> read_some(int fd, std::span<std::byte> buffer) {
  size_t used = 0;
  while (used < buffer.size()) {
    const ssize_t n = ::read(fd, buffer.data() + used, buffer.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", "");
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  return used;
}

Result<bool> same_bytes(int a, int b) {
  std::vector<std::byte> left(kCompareBytes);
  std::vector<std::byte> right(kCompareBytes);
  for (;;) {
    KILN_TRY_ASSIGN(const size_t n, read_some(a, left));
    KILN_TRY_ASSIGN(const size_t m, read_some(b, right));
    if (n != m || std::memcmp(left.data(), right.data(), n) != 0) return false;
    if (n == 0) return true;
  }
}

class TreeDiffer {
 public:
  TreeDiffer(const Root* lower, const Root& upper, Sink& tar, std::stop_token stop)
      : lower_(lower), upper_(upper), writer_(upper, tar, stop), stop_(std::move(stop)) {}

  Status run() {
    KILN_TRY_ASSIGN(lower_groups_, HardlinkGroups::find(lower_, stop_));
    KILN_TRY_ASSIGN(const auto groups, HardlinkGroups::find(&upper_, stop_));
    KILN_TRY_ASSIGN(
        changed_groups_,
        internal::changed_groups(lower_groups_, groups, [this](const auto& path, const auto& st) {
          return group_differs(path, st);
        }));
    KILN_TRY(walk(RelPath(), lower_ != nullptr));
    return writer_.finish();
  }

 private:
  // `has_lower`: the lower tree has a directory here too.
  Status walk(const RelPath& directory, bool has_lower) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "packing was cancelled");
    KILN_TRY_ASSIGN(const auto upper, internal::read_children(upper_, directory));
    std::vector<Child> lower;
    if (has_lower) {
      KILN_TRY_ASSIGN(lower, internal::read_children(*lower_, directory));
    }
    auto below = lower.begin();
    for (const Child& child : upper) {
      for (; below != lower.end() && below->name < child.name; ++below)
        KILN_TRY(delete_from(directory, *below));
      const bool is_there = below != lower.end() && below->name == child.name;
      KILN_TRY(compare(directory.child(child.name), child, is_there ? &*below++ : nullptr));
    }
    for (; below != lower.end(); ++below) KILN_TRY(delete_from(directory, *below));
    return {};
  }

  Status delete_from(const RelPath& directory, const Child& lower) {
    return is_absent(lower.st) ? Status() : writer_.white_out(directory.child(lower.name));
  }

  Status compare(const RelPath& path, const Child& child, const Child* lower) {
    if (lower != nullptr && is_absent(lower->st)) lower = nullptr;
    if (is_absent(child.st)) return lower != nullptr ? writer_.white_out(path) : Status();
    if (S_ISDIR(child.st.st_mode)) return compare_directory(path, child, lower);
    if (child.st.st_nlink > 1) {
      const bool changed = changed_groups_.contains({child.st.st_dev, child.st.st_ino});
      return changed ? writer_.add(path, child) : Status();
    }
    const bool was_joined = lower_groups_.leader(path) != path;
    if (lower != nullptr && !was_joined) {
      KILN_TRY_ASSIGN(const bool differs, differ(path, child, *lower));
      if (!differs) return {};
    }
    return writer_.add(path, child);
  }

  Status compare_directory(const RelPath& path, const Child& child, const Child* lower) {
    const bool has_lower = lower != nullptr && S_ISDIR(lower->st.st_mode);
    const bool same = has_lower && internal::same_metadata(child.st, lower->st);
    KILN_TRY(writer_.enter(path, child.st, same ? Changed::kNo : Changed::kYes));
    KILN_TRY(walk(path, has_lower));
    writer_.leave();
    return {};
  }

  Result<bool> group_differs(const RelPath& path, const struct stat& st) const {
    if (lower_ == nullptr) return true;
    KILN_TRY_ASSIGN(const auto below, lower_->stat(path, FollowLast::kNo));
    if (!below) return true;
    Child upper_child{std::string(path.name()), st, {}};
    Child lower_child{upper_child.name, *below, {}};
    if (S_ISLNK(st.st_mode) && S_ISLNK(below->st_mode)) {
      KILN_TRY_ASSIGN(upper_child.link_target, upper_.read_link(path));
      KILN_TRY_ASSIGN(lower_child.link_target, lower_->read_link(path));
    }
    return differ(path, upper_child, lower_child);
  }

  // Neither is a directory.
  Result<bool> differ(const RelPath& path, const Child& upper, const Child& lower) const {
    const struct stat& a = upper.st;
    const struct stat& b = lower.st;
    if (!internal::same_metadata(a, b) || a.st_rdev != b.st_rdev) return true;
    if (S_ISLNK(a.st_mode)) return upper.link_target != lower.link_target;
    if (!S_ISREG(a.st_mode)) return false;
    if (a.st_size != b.st_size) return true;
    if (a.st_dev == b.st_dev && a.st_ino == b.st_ino) return false;
    return contents_differ(path);
  }

  Result<bool> contents_differ(const RelPath& path) const {
    KILN_TRY_ASSIGN(const Fd upper, upper_.open(path, O_RDONLY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const Fd lower, lower_->open(path, O_RDONLY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const auto upper_caps, xattr_of(upper.get(), "security.capability"));
    KILN_TRY_ASSIGN(const auto lower_caps, xattr_of(lower.get(), "security.capability"));
    if (upper_caps != lower_caps) return true;
    KILN_TRY_ASSIGN(const bool same, same_bytes(upper.get(), lower.get()));
    return !same;
  }

  const Root* lower_;
  const Root& upper_;
  ChangeWriter writer_;
  std::stop_token stop_;
  HardlinkGroups lower_groups_;
  std::set<internal::Inode> changed_groups_;  // of the upper tree
};

}  // namespace

Status write_tree_diff(const Root* lower, const Root& upper, Sink& tar, std::stop_token stop) {
  return TreeDiffer(lower, upper, tar, std::move(stop)).run();
}

}  // namespace kiln
