#include "base/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace kiln {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() noexcept {
  if (fd_ >= 0)
    (void)::close(std::exchange(fd_, -1));  // the destructor's contract: errors are ignored
}

Status Fd::close() {
  const int fd = std::exchange(fd_, -1);
  if (fd >= 0 && ::close(fd) != 0) return fail_errno("close", "");
  return {};
}

Result<Fd> Fd::duplicate() const {
  Fd copy(::fcntl(fd_, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return fail_errno("duplicate file descriptor", "");
  return copy;
}

Result<Pipe> Pipe::create() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("pipe", "");
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

}  // namespace kiln
