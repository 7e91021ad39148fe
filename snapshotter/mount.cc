#include "snapshotter/mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <chrono>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <thread>
#include <utility>

#include "snapshotter/overlay_options.h"

namespace kiln {
namespace {

// mount(2) takes at most a page of options.
constexpr size_t kMaxOptionBytes = 4095;

struct Flag {
  std::string_view name;
  unsigned long set, clear;
};
constexpr std::array kFlags = {
    Flag{"ro", MS_RDONLY, 0},       Flag{"rw", 0, MS_RDONLY},
    Flag{"nosuid", MS_NOSUID, 0},   Flag{"nodev", MS_NODEV, 0},
    Flag{"noexec", MS_NOEXEC, 0},   Flag{"bind", MS_BIND, 0},
    Flag{"noatime", MS_NOATIME, 0}, Flag{"rbind", MS_BIND | MS_REC, 0},
};

struct ParsedOptions {
  unsigned long flags = 0;
  std::vector<std::string> rest;  // for the file system
};

ParsedOptions parse_options(const std::vector<std::string>& options) {
  ParsedOptions parsed;
  for (const std::string& option : options) {
    const auto* flag = std::find_if(kFlags.begin(), kFlags.end(),
                                    [&](const Flag& known) { return known.name == option; });
    if (flag == kFlags.end()) {
      parsed.rest.push_back(option);
    } else {
      parsed.flags = (parsed.flags | flag->set) & ~flag->clear;
    }
  }
  return parsed;
}

std::string join(const std::vector<std::string>& options) {
  std::string text;
  for (const std::string& option : options) text += (text.empty() ? "" : ",") + option;
  return text;
}

int call_mount(const Mount& mount, const char* target, unsigned long flags,
               const std::string& data) {
  const int done = ::mount(mount.source.c_str(), target, mount.type.c_str(), flags, data.c_str());
  return done == 0 ? 0 : errno;
}

Status mount_bind(const Mount& mount, const std::string& target, unsigned long flags) {
  const unsigned long recursive = flags & MS_REC;
  if (::mount(mount.source.c_str(), target.c_str(), nullptr, MS_BIND | recursive, nullptr) != 0)
    return fail_errno("bind mount on", target);
  const unsigned long attributes = flags & ~static_cast<unsigned long>(MS_BIND | MS_REC);
  if (attributes == 0) return {};
  // The kernel ignores attributes in the call that binds.
  if (::mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_BIND | attributes, nullptr) == 0)
    return {};
  const Error error = Error::from_errno(errno, "set mount flags of", target);
  ::umount2(target.c_str(), MNT_DETACH);
  return tl::unexpected(error);
}

// Options too long for a page: the names are made relative to the directory they share, on a thread
// of its own, because the working directory of the process is not ours to change.
int mount_relative(const Mount& mount, const std::string& target, const ParsedOptions& options) {
  const internal::RelativeOverlay relative = internal::make_relative(options.rest);
  const std::string data = join(relative.options);
  if (data.size() > kMaxOptionBytes) return E2BIG;
  int error = 0;
  std::thread([&] {
    if (::unshare(CLONE_FS) != 0 || ::chdir(relative.directory.c_str()) != 0) {
      error = errno;
      return;
    }
    error = call_mount(mount, target.c_str(), options.flags, data);
  }).join();
  return error;
}

Status mount_one(const Mount& mount, const std::string& target) {
  const ParsedOptions options = parse_options(mount.options);
  if (mount.type == "bind" || (options.flags & MS_BIND) != 0)
    return mount_bind(mount, target, options.flags);
  const std::string data = join(options.rest);
  const bool fits = data.size() <= kMaxOptionBytes;
  const int error = fits ? call_mount(mount, target.c_str(), options.flags, data)
                         : mount_relative(mount, target, options);
  if (error == 0) return {};
  Error failure = Error::from_errno(error, "mount " + mount.type + " on", target);
  if (error == E2BIG)
    return fail(Code::kResourceExhausted, failure.message() + ": too many layers for one mount");
  return tl::unexpected(failure);
}

bool is_read_only_bind(const std::vector<Mount>& mounts) {
  if (mounts.size() != 1 || mounts.front().type != "bind") return false;
  const auto& options = mounts.front().options;
  return std::find(options.begin(), options.end(), "ro") != options.end();
}

}  // namespace

Status enter_private_mount_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("make a mount namespace for", "kiln");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno("make mounts private below", "/");
  return {};
}

Result<MountPoint> MountPoint::mount(const std::vector<Mount>& mounts, std::string target) {
  MountPoint point(std::move(target));
  for (const Mount& mount : mounts) {
    KILN_TRY(mount_one(mount, point.target_));
    ++point.mounted_;
  }
  return point;
}

MountPoint::MountPoint(MountPoint&& other) noexcept
    : target_(std::move(other.target_)), mounted_(std::exchange(other.mounted_, 0)) {}

MountPoint& MountPoint::operator=(MountPoint&& other) noexcept {
  std::swap(target_, other.target_);
  std::swap(mounted_, other.mounted_);
  return *this;
}

MountPoint::~MountPoint() {
  for (; mounted_ > 0; --mounted_) {
    if (::umount2(target_.c_str(), 0) != 0) ::umount2(target_.c_str(), MNT_DETACH);
  }
}

Result<Root> MountPoint::root() const {
  return Root::open(target_);
}

// A process that another thread is just starting holds copies of all descriptors between fork and
// exec, those into this mount too: it is busy for that moment. What is busy for longer is detached,
// and goes when its last user does.
Status MountPoint::unmount() {
  constexpr int kAttempts = 50;
  constexpr std::chrono::milliseconds kPause{1};
  for (; mounted_ > 0; --mounted_) {
    int attempt = 0;
    while (::umount2(target_.c_str(), attempt < kAttempts ? 0 : MNT_DETACH) != 0) {
      if (errno != EBUSY || attempt == kAttempts) return fail_errno("unmount", target_);
      ++attempt;
      std::this_thread::sleep_for(kPause);
    }
  }
  return {};
}

Result<MountedTree> MountedTree::open(const std::vector<Mount>& mounts,
                                      const std::string& scratch) {
  MountedTree tree;
  if (is_read_only_bind(mounts)) {
    tree.path_ = mounts.front().source;
  } else {
    KILN_TRY_ASSIGN(TempDir directory, TempDir::create(scratch, "mnt-"));
    tree.path_ = directory.path();
    tree.directory_ = std::make_unique<TempDir>(std::move(directory));
    KILN_TRY_ASSIGN(MountPoint mount, MountPoint::mount(mounts, tree.path_));
    tree.mount_ = std::make_unique<MountPoint>(std::move(mount));
  }
  KILN_TRY_ASSIGN(Root root, Root::open(tree.path_));
  tree.root_ = std::make_unique<Root>(std::move(root));
  return tree;
}

}  // namespace kiln
