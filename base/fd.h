// An owned file descriptor. Always O_CLOEXEC by convention of those who open it. The destructor
// closes and ignores the result: whoever needs close(2)'s error (NFS, quota) calls close() first.
#pragma once

#include "base/result.h"

#include <utility>

namespace kiln {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;
  Status close();
  Result<Fd> duplicate() const;  // F_DUPFD_CLOEXEC

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read_end, write_end;
  static Result<Pipe> create();  // O_CLOEXEC
};

}  // namespace kiln
