// SIGHUP for commands that know what to do with it. For all others it is another Ctrl-C.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace kiln::cmd {

/// Thread-safe.
class Hangups {
 public:
  /// From here on they are for wait().
  void expect();
  /// One came. False: nobody expects any.
  bool arrived();
  /// Blocks until one came that was not waited for yet; several at once count as one. False:
  /// `stop` was requested.
  bool wait(const std::stop_token& stop);

 private:
  std::mutex mutex_;  // of these
  std::condition_variable_any changed_;
  bool expected_ = false, pending_ = false;
};

}  // namespace kiln::cmd
