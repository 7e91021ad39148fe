// Arguments, signals, and the one place where errors become text and an exit status.
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <stop_token>
#include <thread>

#include "base/fd.h"
#include "cmd/commands.h"
#include "cmd/diagnostics.h"
#include "cmd/tty_view.h"

extern char** environ;

namespace kiln::cmd {
namespace {

Environment read_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

// Ctrl-C, SIGTERM and a SIGHUP that no command expects ask the work to stop; a second one ends the
// process at once (the kernel then cleans up: mounts live in a private namespace and sandboxes die
// with kiln). The thread only waits, so it does not matter that it is older than that namespace.
class Signals {
 public:
  explicit Signals(Hangups& hangups) : hangups_(hangups) {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, signal);
    (void)pthread_sigmask(SIG_BLOCK, &set_, nullptr);  // cannot fail with a valid set
    ::signal(SIGPIPE, SIG_IGN);                        // a closed pipe is an error of write(2)
    signals_ = Fd(::signalfd(-1, &set_, SFD_CLOEXEC));
    ended_ = Fd(::eventfd(0, EFD_CLOEXEC));
    watcher_ = std::jthread([this] { watch(); });
  }
  ~Signals() {
    const uint64_t one = 1;
    (void)!::write(ended_.get(), &one, sizeof one);  // an eventfd at 0 takes it
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  std::stop_token token() const { return interrupted_.get_token(); }

 private:
  void watch() {
    int seen = 0;
    while (true) {
      std::array<struct pollfd, 2> waiting{
          {{signals_.get(), POLLIN, 0}, {ended_.get(), POLLIN, 0}}};
      if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
      if (waiting[1].revents != 0) return;
      struct signalfd_siginfo info {};
      if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
      if (info.ssi_signo == SIGHUP && hangups_.arrived()) continue;
      if (++seen == 2) leave();
      interrupted_.request_stop();
    }
  }

  // Whatever the live view is in the middle of.
  [[noreturn]] static void leave() {
    if (::isatty(STDERR_FILENO) == 1)
      (void)!::write(STDERR_FILENO, kShowCursor.data(), kShowCursor.size());
    ::_exit(130);
  }

  Hangups& hangups_;
  sigset_t set_{};
  Fd signals_, ended_;
  std::stop_source interrupted_;
  std::jthread watcher_;
};

CommandResult run(const Command& command, const Invocation& invocation) {
  struct Dispatch {
    const Invocation& invocation;
    CommandResult operator()(const BuildOptions& o) const { return run_build(o, invocation); }
    CommandResult operator()(const DumpLlbOptions& o) const { return run_dump_llb(o, invocation); }
    CommandResult operator()(const AstOptions& o) const { return run_ast(o, invocation); }
    CommandResult operator()(const ImagesOptions& o) const { return run_images(o, invocation); }
    CommandResult operator()(const InspectOptions& o) const { return run_inspect(o, invocation); }
    CommandResult operator()(const HistoryOptions& o) const { return run_history(o, invocation); }
    CommandResult operator()(const ImportOptions& o) const { return run_import(o, invocation); }
    CommandResult operator()(const SaveOptions& o) const { return run_save(o, invocation); }
    CommandResult operator()(const LoadOptions& o) const { return run_load(o, invocation); }
    CommandResult operator()(const TagOptions& o) const { return run_tag(o, invocation); }
    CommandResult operator()(const RmiOptions& o) const { return run_rmi(o, invocation); }
    CommandResult operator()(const PushOptions& o) const { return run_push(o, invocation); }
    CommandResult operator()(const PullOptions& o) const { return run_pull(o, invocation); }
    CommandResult operator()(const LoginOptions& o) const { return run_login(o, invocation); }
    CommandResult operator()(const LogoutOptions& o) const { return run_logout(o, invocation); }
    CommandResult operator()(const ImagetoolsInspectOptions& o) const {
      return run_imagetools_inspect(o, invocation);
    }
    CommandResult operator()(const ImagetoolsCreateOptions& o) const {
      return run_imagetools_create(o, invocation);
    }
    CommandResult operator()(const PruneOptions& o) const { return run_prune(o, invocation); }
    CommandResult operator()(const DuOptions& o) const { return run_du(o, invocation); }
    CommandResult operator()(const ServeOptions& o) const { return run_serve(o, invocation); }
    CommandResult operator()(const FsckOptions& o) const { return run_fsck(o, invocation); }
  };
  return std::visit(Dispatch{invocation}, command);
}

// A result that did not arrive is none. Who closed the pipe has seen what they wanted.
CommandResult flush_results() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  if (errno == EPIPE) return {};
  return failure(Error::from_errno(errno == 0 ? EIO : errno, "write", "standard output"));
}

int main_status(int argc, char** argv) {
  const Environment environment = read_environment();
  std::variant<Command, Usage> parsed = parse_args(argc, argv, environment);
  if (const Usage* usage = std::get_if<Usage>(&parsed)) {
    (void)std::fputs(usage->text.c_str(),
                     usage->exit_code == 0 ? stdout : stderr);  // nothing to do if it is gone
    return usage->exit_code;
  }
  const auto path = environment.find("PATH");
  Hangups hangups;
  const Signals signals(hangups);
  const Invocation invocation{environment,
                              path == environment.end()
                                  ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                                  : path->second,
                              signals.token(), hangups};
  CommandResult result = run(std::get<Command>(parsed), invocation);
  if (result) result = flush_results();
  if (result) return 0;
  const Failure& failed = result.error();
  if (failed.silent) return failed.exit_code;
  (void)std::fputs(describe_error(failed.error, failed.source, failed.source_name).c_str(),
                   stderr);  // as above
  return failed.exit_code;
}

}  // namespace
}  // namespace kiln::cmd

int main(int argc, char** argv) {
  return kiln::cmd::main_status(argc, argv);
}
