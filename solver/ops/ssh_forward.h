// A socket of kiln's own in front of a user's SSH agent: RUN --mount=type=ssh says who may use it,
// and what a step does to the socket does not reach the agent's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace kiln {

struct SocketAccess {
  uint32_t uid = 0, gid = 0, mode = 0600;
};

/// Listens as long as it lives; every connection gets one to the agent.
class SshForward {
 public:
  /// Makes the socket `path`, which must not be there, in a directory of kiln's own.
  static Result<std::unique_ptr<SshForward>> start(const std::string& path,
                                                   const std::string& agent,
                                                   const SocketAccess& access);
  ~SshForward();
  SshForward(const SshForward&) = delete;
  SshForward& operator=(const SshForward&) = delete;

 private:
  struct Pair;
  SshForward(Fd listener, Fd wake, std::string agent);
  void serve();
  void accept_one(std::vector<Pair>& pairs) const;

  const Fd listener_, wake_;
  const std::string agent_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace kiln
