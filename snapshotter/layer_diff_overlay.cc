#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "snapshotter/change_writer.h"
#include "snapshotter/layer_diff.h"

namespace kiln {
namespace {

using internal::Changed;
using internal::ChangeWriter;
using internal::Child;

// How an upper directory stands to the lower one of the same path.
enum class Below : uint8_t {
  kNothing,  // there is none: everything here is new
  kMerged,   // its entries show through
  kHidden,   // opaque: its entries are gone, unless they are here too
};

class OverlayDiffer {
 public:
  OverlayDiffer(const OverlayTrees& trees, Sink& tar, std::stop_token stop)
      : lower_(trees.lower),
        upper_(*trees.upper),
        opaque_xattr_(trees.xattrs + "opaque"),
        writer_(upper_, tar, std::move(stop)) {}

  Status run() {
    KILN_TRY(walk(RelPath(), lower_ != nullptr ? Below::kMerged : Below::kNothing));
    return writer_.finish();
  }

 private:
  // What `walk` knows of a child before it goes on: no fd stays open while it goes deeper.
  struct Visit {
    Child child;
    bool in_upper = true;
    std::optional<struct stat> lower;
  };

  Status walk(const RelPath& directory, Below below) {
    KILN_TRY_ASSIGN(auto visits, gather(directory, below));
    for (Visit& visit : visits) KILN_TRY(write(directory.child(visit.child.name), visit, below));
    return {};
  }

  Result<std::vector<Visit>> gather(const RelPath& directory, Below below) {
    KILN_TRY_ASSIGN(auto children, internal::read_children(upper_, directory));
    Fd lower;
    if (below != Below::kNothing) {
      KILN_TRY_ASSIGN(lower, lower_->open(directory, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    }
    std::vector<Visit> visits;
    for (Child& child : children) {
      Visit visit{std::move(child), true, {}};
      if (asks_for_lower(visit.child)) {
        KILN_TRY_ASSIGN(visit.lower, internal::stat_child(lower, visit.child.name));
      }
      visits.push_back(std::move(visit));
    }
    if (below == Below::kHidden) KILN_TRY(add_hidden(lower, visits));
    return visits;
  }

  // Files replace whatever is below, without a look at it.
  static bool asks_for_lower(const Child& child) {
    return S_ISDIR(child.st.st_mode) || is_absent(child);
  }

  // Sockets are not packed, so what they hide must be deleted.
  static bool is_absent(const Child& child) {
    return internal::is_whiteout_device(child.st) || S_ISSOCK(child.st.st_mode);
  }

  // An opaque directory becomes the deletion of each entry that it hides.
  static Status add_hidden(const Fd& lower, std::vector<Visit>& visits) {
    KILN_TRY_ASSIGN(const auto hidden, list_dir(lower.get()));
    std::vector<Visit> all;
    auto next = visits.begin();
    for (const DirEntry& entry : hidden) {
      while (next != visits.end() && next->child.name < entry.name)
        all.push_back(std::move(*next++));
      if (next != visits.end() && next->child.name == entry.name) continue;
      all.push_back({Child{entry.name, {}, {}}, false, {}});
    }
    std::move(next, visits.end(), std::back_inserter(all));
    visits = std::move(all);
    return {};
  }

  Status write(const RelPath& path, const Visit& visit, Below below) {
    if (!visit.in_upper) return writer_.white_out(path);
    if (is_absent(visit.child)) return visit.lower ? writer_.white_out(path) : Status();
    if (!S_ISDIR(visit.child.st.st_mode)) return writer_.add(path, visit.child);
    return write_directory(path, visit, below);
  }

  Status write_directory(const RelPath& path, const Visit& visit, Below below) {
    const struct stat& st = visit.child.st;
    const bool has_lower = visit.lower && S_ISDIR(visit.lower->st_mode);
    const bool copied_up = has_lower && internal::same_metadata(st, *visit.lower);
    Below inside = Below::kNothing;
    if (has_lower) {
      KILN_TRY_ASSIGN(const bool opaque, is_opaque(path));
      inside = opaque || below == Below::kHidden ? Below::kHidden : Below::kMerged;
    }
    KILN_TRY(writer_.enter(path, st, copied_up ? Changed::kNo : Changed::kYes));
    KILN_TRY(walk(path, inside));
    writer_.leave();
    return {};
  }

  Result<bool> is_opaque(const RelPath& path) const {
    KILN_TRY_ASSIGN(const Fd fd, upper_.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    KILN_TRY_ASSIGN(const std::string value, xattr_of(fd.get(), opaque_xattr_.c_str()));
    return value == "y";
  }

  const Root* lower_;
  const Root& upper_;
  std::string opaque_xattr_;
  ChangeWriter writer_;
};

}  // namespace

Status write_overlay_diff(const OverlayTrees& trees, Sink& tar, std::stop_token stop) {
  return OverlayDiffer(trees, tar, std::move(stop)).run();
}

}  // namespace kiln
