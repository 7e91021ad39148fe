#include "base/signals.h"

#include <signal.h>

#include <cerrno>
#include <ctime>

namespace kiln::internal {

BlockedSigpipe::BlockedSigpipe() {
  ::sigemptyset(&sigpipe_);
  ::sigaddset(&sigpipe_, SIGPIPE);
  sigset_t pending;
  ::sigpending(&pending);
  was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
  (void)::pthread_sigmask(SIG_BLOCK, &sigpipe_, &old_);  // cannot fail with these arguments
}

BlockedSigpipe::~BlockedSigpipe() {
  const timespec no_wait{};
  if (!was_pending_)
    while (::sigtimedwait(&sigpipe_, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
  (void)::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
}

}  // namespace kiln::internal
