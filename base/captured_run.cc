// run_captured of process.h: feeds stdin and reads both outputs in one poll loop, so that no pipe
// can fill up and block the child while we wait for another.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/process.h"
#include "base/signals.h"
#include "base/wake.h"

namespace kiln {
namespace {

Status make_nonblocking(const Fd& fd) {
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("prepare pipe", "");
  return {};
}

class Capture {
 public:
  Capture(std::string_view input, uint64_t limit_bytes)
      : input_(input), limit_bytes_(limit_bytes) {}
  Status start(ProcessSpec& spec);
  Result<CapturedRun> run(const std::stop_token& stop);

 private:
  struct Output {
    Fd fd;
    std::string text;
  };
  Status feed();
  Status drain(Output& output) const;

  std::string_view input_;
  uint64_t limit_bytes_;
  Fd in_;
  Output out_, err_;
  std::optional<Child> child_;
};

Status Capture::start(ProcessSpec& spec) {
  KILN_TRY_ASSIGN(Pipe in, Pipe::create());
  KILN_TRY_ASSIGN(Pipe out, Pipe::create());
  KILN_TRY_ASSIGN(Pipe err, Pipe::create());
  spec.in = in.read_end.get();
  spec.out = out.write_end.get();
  spec.err = err.write_end.get();
  KILN_TRY(make_nonblocking(in.write_end));
  KILN_TRY(make_nonblocking(out.read_end));
  KILN_TRY(make_nonblocking(err.read_end));
  KILN_TRY_ASSIGN(child_, Child::spawn(spec));
  in_ = std::move(in.write_end);
  out_.fd = std::move(out.read_end);
  err_.fd = std::move(err.read_end);
  return {};
}

// Writes what the pipe takes; closes it after the last byte, or when nobody reads.
Status Capture::feed() {
  while (!input_.empty()) {
    const ssize_t n = ::write(in_.get(), input_.data(), input_.size());
    if (n >= 0) {
      input_.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      return {};
    } else if (errno == EPIPE) {
      break;
    } else if (errno != EINTR) {
      return fail_errno("write to process", "");
    }
  }
  in_.reset();
  return {};
}

// Reads what is there; closes at the end of file.
Status Capture::drain(Output& output) const {
  std::array<char, size_t{16} << 10U> buffer{};
  while (output.fd.valid()) {
    const ssize_t n = ::read(output.fd.get(), buffer.data(), buffer.size());
    if (n > 0) {
      const uint64_t room = limit_bytes_ - std::min<uint64_t>(limit_bytes_, output.text.size());
      output.text.append(buffer.data(), std::min<uint64_t>(static_cast<uint64_t>(n), room));
    } else if (n == 0) {
      output.fd.reset();
    } else if (errno == EAGAIN) {
      return {};
    } else if (errno != EINTR) {
      return fail_errno("read from process", "");
    }
  }
  return {};
}

// Ends when the child does, not at end of file: something that it left behind may hold the pipes
// open for long.
Result<CapturedRun> Capture::run(const std::stop_token& stop) {
  // A child that exits without reading its input must not kill us.
  const internal::BlockedSigpipe blocked;
  KILN_TRY_ASSIGN(const internal::StopWaker waker, internal::StopWaker::create(stop));
  KILN_TRY(feed());
  for (bool exited = false; !exited;) {
    std::array<pollfd, 5> fds = {pollfd{child_->pidfd(), POLLIN, 0}, pollfd{waker.fd(), POLLIN, 0},
                                 pollfd{in_.get(), POLLOUT, 0}, pollfd{out_.fd.get(), POLLIN, 0},
                                 pollfd{err_.fd.get(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return fail_errno("wait for process", "");
    }
    exited = fds[0].revents != 0;
    if (fds[1].revents != 0) break;
    if (fds[2].revents != 0) KILN_TRY(feed());
    KILN_TRY(drain(out_));
    KILN_TRY(drain(err_));
  }
  CapturedRun result;
  KILN_TRY_ASSIGN(result.exit, child_->wait(stop));
  KILN_TRY(drain(out_));
  KILN_TRY(drain(err_));
  result.out = std::move(out_.text);
  result.err = std::move(err_.text);
  return result;
}

}  // namespace

Result<CapturedRun> run_captured(ProcessSpec spec, std::string_view input, uint64_t limit_bytes,
                                 std::stop_token stop) {
  Capture capture(input, limit_bytes);
  KILN_TRY(capture.start(spec));
  return capture.run(stop);
}

}  // namespace kiln
