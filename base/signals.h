// Keeps SIGPIPE from ending the process while a library part writes to pipes or sockets whose
// reader may go away.
#pragma once

#include <csignal>

namespace kiln::internal {

/// Blocks SIGPIPE for this thread while it lives; one that came meanwhile is taken away, unless one
/// waited before.
class BlockedSigpipe {
 public:
  BlockedSigpipe();
  BlockedSigpipe(const BlockedSigpipe&) = delete;
  BlockedSigpipe& operator=(const BlockedSigpipe&) = delete;
  ~BlockedSigpipe();

 private:
  sigset_t sigpipe_{};
  sigset_t old_{};
  bool was_pending_ = false;
};

}  // namespace kiln::internal
