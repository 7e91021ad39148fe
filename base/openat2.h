// openat2(2), for which glibc 2.36 has no wrapper. Used by Root and remove_tree; others go through
// those.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/fd.h"

namespace kiln::internal {

/// Opens with O_CLOEXEC. `resolve` is a set of RESOLVE_*. EAGAIN (a rename raced with the
/// resolution of "..") is retried a bounded number of times. Invalid and errno set on failure:
/// callers decide what an absent path means.
Fd open_at2(int dir_fd, const char* path, int flags, mode_t mode, uint64_t resolve);

}  // namespace kiln::internal
