// What must be true of an untrusted root file system before a runtime sees it (SAFETY.md 1.3):
// known holes of runtimes begin with a symlink where they mount, or with a working directory that
// leads out through /proc.
#pragma once

#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "solver/executor/user.h"

namespace kiln {

/// kInvalidArgument if /proc, /dev or /sys is there and is not a directory.
Status check_system_directories(const Root& rootfs);

/// The working directory, free of symlinks. Missing parts are made, mode 0755 and owned by `user`,
/// unless they lie below one of `mount_targets`: then the runtime makes them in that mount.
/// kInvalidArgument if it is not a directory, or lies in /proc.
Result<std::string> prepare_working_directory(const Root& rootfs, const std::string& cwd,
                                              const User& user,
                                              const std::vector<std::string>& mount_targets);

}  // namespace kiln
