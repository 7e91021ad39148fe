#include "solver/executor/rootfs_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/strings.h"
#include "solver/executor/spec.h"

namespace kiln {
namespace {

constexpr mode_t kMadeDirectoryMode = 0755;

bool is_below(const RelPath& path, const std::string& target) {
  const auto ancestor = RelPath::rooted(target);
  return ancestor && path.is_within(*ancestor);
}

Result<Fd> make_directory(const Fd& parent, const std::string& name, const User& user) {
  if (::mkdirat(parent.get(), name.c_str(), kMadeDirectoryMode) != 0)
    return fail_errno("make directory", name);
  Fd made(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made.valid()) return fail_errno("open directory", name);
  if (::fchown(made.get(), user.uid, user.gid) != 0) return fail_errno("chown", name);
  if (::fchmod(made.get(), kMadeDirectoryMode) != 0) return fail_errno("chmod", name);  // the umask
  return made;
}

Status make_directories(const Root& rootfs, const RelPath& path, const User& user) {
  KILN_TRY_ASSIGN(Fd at, rootfs.open(RelPath(), O_PATH | O_DIRECTORY));
  RelPath done;
  for (const std::string_view component : path.components()) {
    done = done.child(component);
    auto next = rootfs.open(done, O_PATH | O_DIRECTORY, 0, FollowLast::kNo);
    if (!next && next.error().code() == Code::kNotFound)
      next = make_directory(at, std::string(component), user);
    if (!next) return tl::unexpected(next.error());
    at = *std::move(next);
  }
  return {};
}

}  // namespace

Status check_system_directories(const Root& rootfs) {
  for (const std::string& target : system_mount_targets()) {
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(target));
    KILN_TRY_ASSIGN(const auto found, rootfs.stat(path, FollowLast::kNo));
    if (found && !S_ISDIR(found->st_mode))
      return fail(Code::kInvalidArgument, target + " of the image is not a directory");
  }
  return {};
}

Result<std::string> prepare_working_directory(const Root& rootfs, const std::string& cwd,
                                              const User& user,
                                              const std::vector<std::string>& mount_targets) {
  const std::string wanted = cwd.empty() ? "/" : cwd;
  if (wanted[0] != '/')
    return fail(Code::kInvalidArgument, "working directory " + quote(wanted) + " is not absolute");
  KILN_TRY_ASSIGN(const RelPath unresolved, RelPath::rooted(wanted));
  auto path = rootfs.resolve(unresolved, FollowLast::kYes);
  if (!path) return tl::unexpected(path.error().wrap("working directory " + quote(wanted)));
  if (is_below(*path, "/proc"))
    return fail(Code::kInvalidArgument, "working directory " + quote(wanted) + " lies in /proc");
  const auto covers = [&](const std::string& target) {
    return target != "/" && is_below(*path, target);
  };
  if (std::any_of(mount_targets.begin(), mount_targets.end(), covers) ||
      std::any_of(system_mount_targets().begin(), system_mount_targets().end(), covers))
    return path->absolute();
  const Status made = make_directories(rootfs, *path, user);
  if (!made)
    return fail(Code::kInvalidArgument,
                "working directory " + quote(wanted) + ": " + made.error().message());
  return path->absolute();
}

}  // namespace kiln
