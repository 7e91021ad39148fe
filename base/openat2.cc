#include "base/openat2.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace kiln::internal {
namespace {

// Each EAGAIN means that a rename or mount happened somewhere on the system during the call. A
// process that renames in a tight loop makes most tries fail, hence the generous bound; an honest
// system never sees a second try.
constexpr int kMaxTries = 256;

}  // namespace

Fd open_at2(int dir_fd, const char* path, int flags, mode_t mode, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  for (int attempt = 0; attempt < kMaxTries; ++attempt) {
    const long fd = ::syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return {};
}

}  // namespace kiln::internal
