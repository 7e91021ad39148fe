#include "solver/executor/output_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/wake.h"

namespace kiln {
namespace {

constexpr size_t kBufferBytes = 64U << 10U;

class Pump {
 public:
  Pump(Child& child, OutputPipes pipes, Sink& out, Sink& err)
      : child_(child), pipes_(std::move(pipes)), out_(out), err_(err), buffer_(kBufferBytes) {}

  Result<ExitStatus> run(int stop_fd) {
    bool stopped = false;
    std::optional<ExitStatus> exit;
    while (!exit || pipes_.out.valid() || pipes_.err.valid()) {
      std::array<pollfd, 4> fds = {{{pipes_.out.get(), POLLIN, 0},
                                    {pipes_.err.get(), POLLIN, 0},
                                    {exit ? -1 : child_.pidfd(), POLLIN, 0},
                                    {stopped ? -1 : stop_fd, POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR)
        return fail_errno("wait for output of", "step");
      if (fds[3].revents != 0) {
        stopped = true;
        KILN_TRY(child_.kill(SIGKILL));
      }
      if (fds[0].revents != 0) KILN_TRY(forward(pipes_.out, out_));
      if (fds[1].revents != 0) KILN_TRY(forward(pipes_.err, err_));
      if (fds[2].revents != 0) {
        KILN_TRY_ASSIGN(exit, child_.try_wait());
      }
    }
    if (failure_) return tl::unexpected(*failure_);
    if (stopped) return fail(Code::kCancelled, "the step was cancelled");
    return *exit;
  }

 private:
  // One read. At the end of the stream the pipe is closed.
  Status forward(Fd& pipe, Sink& sink) {
    const ssize_t bytes = ::read(pipe.get(), buffer_.data(), buffer_.size());
    if (bytes < 0) return errno == EINTR ? Status() : fail_errno("read output of", "step");
    if (bytes == 0) {
      pipe.reset();
      return {};
    }
    if (failure_) return {};
    const Status written = sink.write(std::span(buffer_).first(static_cast<size_t>(bytes)));
    if (written) return {};
    failure_ = written.error();
    return child_.kill(SIGKILL);
  }

  Child& child_;
  OutputPipes pipes_;
  Sink& out_;
  Sink& err_;
  std::vector<std::byte> buffer_;
  std::optional<Error> failure_;
};

}  // namespace

Result<ExitStatus> pump_output(Child& child, OutputPipes pipes, Sink& out, Sink& err,
                               const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const internal::StopWaker waker, internal::StopWaker::create(stop));
  return Pump(child, std::move(pipes), out, err).run(waker.fd());
}

}  // namespace kiln
