#include "base/wake.h"

#include <sys/eventfd.h>

namespace kiln::internal {

Result<StopWaker> StopWaker::create(const std::stop_token& stop) {
  StopWaker waker;
  if (!stop.stop_possible()) return waker;
  waker.fd_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!waker.fd_.valid()) return fail_errno("create event", "");
  // The number, not `waker`: that moves. An eventfd at 0 always takes a 1.
  waker.on_stop_ = std::make_unique<std::stop_callback<std::function<void()>>>(
      stop, [fd = waker.fd_.get()] { (void)::eventfd_write(fd, 1); });
  return waker;
}

}  // namespace kiln::internal
