#include "solver/executor/mount_stubs.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace kiln {
namespace {

constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kFileMode = 0644;

using Times = std::array<timespec, 2>;

// An O_PATH fd takes no futimens(2); its /proc name does.
Result<Times> times_of(const Fd& directory) {
  struct stat st {};
  if (::fstat(directory.get(), &st) != 0) return fail_errno("stat parent of", "mount point");
  return Times{st.st_atim, st.st_mtim};
}

Status restore_times(const Fd& directory, const Times& times) {
  const std::string path = "/proc/self/fd/" + std::to_string(directory.get());
  if (::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) != 0)
    return fail_errno("restore times of parent of", "mount point");
  return {};
}

int make(int parent, const char* name, MountStubs::Kind kind) {
  if (kind == MountStubs::Kind::kDirectory) return ::mkdirat(parent, name, kDirectoryMode);
  const Fd file(
      ::openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  return file.valid() ? 0 : -1;
}

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// A directory may have got a new mtime from what was made and removed in it; that it is empty is
// rmdir's to say.
bool is_as_made(const struct stat& made, const struct stat& found) {
  if (made.st_dev != found.st_dev || made.st_ino != found.st_ino) return false;
  if (made.st_mode != found.st_mode || made.st_uid != found.st_uid || made.st_gid != found.st_gid)
    return false;
  if (S_ISDIR(found.st_mode)) return true;
  return found.st_size == 0 && found.st_nlink == 1 && same_time(made.st_mtim, found.st_mtim);
}

}  // namespace

MountStubs::~MountStubs() {
  (void)remove();
}

Result<Fd> MountStubs::make_one(const Fd& parent, const std::string& name, Kind kind,
                                Parents keep) {
  KILN_TRY_ASSIGN(const Times times, times_of(parent));
  if (make(parent.get(), name.c_str(), kind) != 0) return fail_errno("make mount point", name);
  KILN_TRY(restore_times(parent, times));
  Fd made(::openat(parent.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!made.valid()) return fail_errno("open mount point", name);
  if (keep == Parents::kKeep) return made;
  Stub stub;
  stub.name = name;
  if (::fstat(made.get(), &stub.made) != 0) return fail_errno("stat mount point", name);
  KILN_TRY_ASSIGN(stub.parent, parent.duplicate());
  stubs_.push_back(std::move(stub));
  return made;
}

Result<std::string> MountStubs::add(const std::string& target, Kind kind, Parents parents) {
  KILN_TRY_ASSIGN(const RelPath wanted, RelPath::rooted(target));
  KILN_TRY_ASSIGN(const RelPath path, rootfs_.resolve(wanted, FollowLast::kYes));
  KILN_TRY_ASSIGN(Fd at, rootfs_.open(RelPath(), O_PATH | O_DIRECTORY));
  RelPath done;
  const auto components = path.components();
  for (size_t i = 0; i < components.size(); ++i) {
    const bool last = i + 1 == components.size();
    done = done.child(components[i]);
    auto existing = rootfs_.open(done, O_PATH, 0, FollowLast::kNo);
    if (existing) {
      struct stat st {};
      if (::fstat(existing->get(), &st) != 0) return fail_errno("stat", done.absolute());
      if (!last && !S_ISDIR(st.st_mode))
        return fail(Code::kInvalidArgument, "mount point \"" + target + "\": \"" + done.absolute() +
                                                "\" is not a directory");
      at = *std::move(existing);
      continue;
    }
    if (existing.error().code() != Code::kNotFound)
      return tl::unexpected(existing.error().wrap("mount point \"" + target + "\""));
    auto made = make_one(at, std::string(components[i]), last ? kind : Kind::kDirectory,
                         last ? Parents::kRemove : parents);
    if (!made) return tl::unexpected(made.error().wrap("mount point \"" + target + "\""));
    at = *std::move(made);
  }
  return path.absolute();
}

Status MountStubs::remove_one(const Stub& stub) {
  struct stat found {};
  if (::fstatat(stub.parent.get(), stub.name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Status() : fail_errno("stat mount point", stub.name);
  if (!is_as_made(stub.made, found)) return {};
  KILN_TRY_ASSIGN(const Times times, times_of(stub.parent));
  const int flags = S_ISDIR(found.st_mode) ? AT_REMOVEDIR : 0;
  if (::unlinkat(stub.parent.get(), stub.name.c_str(), flags) != 0)
    return errno == ENOTEMPTY || errno == EEXIST ? Status()
                                                 : fail_errno("remove mount point", stub.name);
  return restore_times(stub.parent, times);
}

Status MountStubs::remove() {
  Status first;
  while (!stubs_.empty()) {
    const Status removed = remove_one(stubs_.back());
    if (first && !removed) first = removed;
    stubs_.pop_back();
  }
  return first;
}

}  // namespace kiln
