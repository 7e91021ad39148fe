#include "cmd/ask_terminal.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "base/wake.h"

namespace kiln::cmd {
namespace {

constexpr size_t kLongestAnswer = 4096;

// Gives the terminal its echo back.
class SilentTerminal {
 public:
  SilentTerminal() : changed_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    struct termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (changed_) (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);  // shown at worst
  }
  ~SilentTerminal() {
    if (changed_) (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);  // nothing else to do
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

 private:
  struct termios before_ {};
  bool changed_;
};

Result<std::string> read_terminal_line(const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const internal::StopWaker waker, internal::StopWaker::create(stop));
  std::string line;
  while (line.size() < kLongestAnswer) {
    std::array<struct pollfd, 2> waiting{{{STDIN_FILENO, POLLIN, 0}, {waker.fd(), POLLIN, 0}}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR)
      return fail_errno("wait for", "the terminal");
    if (stop.stop_requested()) return fail(Code::kCancelled, "cancelled");
    char c = 0;
    if ((waiting[0].revents & (POLLIN | POLLHUP)) == 0) continue;
    const ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n < 0) return fail_errno("read", "the terminal");
    if (n == 0 || c == '\n') return line;
    if (c != '\r') line.push_back(c);
  }
  return fail(Code::kInvalidArgument, "the answer is longer than 4096 bytes");
}

}  // namespace

Result<std::string> ask_terminal(const std::string& prompt, Echo echo, std::stop_token stop) {
  if (::isatty(STDIN_FILENO) != 1)
    return fail(Code::kFailedPrecondition,
                "cannot perform an interactive login from a non TTY device");
  (void)std::fputs(prompt.c_str(), stderr);  // nothing to do if it is gone
  if (echo == Echo::kYes) return read_terminal_line(stop);
  const SilentTerminal silent;
  auto line = read_terminal_line(stop);
  (void)std::fputs("\n", stderr);  // as above
  return line;
}

}  // namespace kiln::cmd
