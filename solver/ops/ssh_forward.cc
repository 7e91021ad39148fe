#include "solver/ops/ssh_forward.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/fs.h"

namespace kiln {
namespace {

constexpr int kBacklog = 16;
constexpr time_t kWriteSeconds = 10;  // a peer that does not read loses its connection

/// Paths of sockets hold 107 bytes at most, those of files more: the directory is named by its
/// descriptor.
class SocketAddress {
 public:
  static Result<SocketAddress> of(const std::string& path) {
    const size_t slash = path.rfind('/');
    SocketAddress made;
    made.directory_ =
        Fd(::open(slash == std::string::npos ? "." : path.substr(0, slash + 1).c_str(),
                  O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!made.directory_.valid()) return fail_errno("open the directory of", path);
    made.path_ = "/proc/self/fd/" + std::to_string(made.directory_.get()) + "/" +
                 (slash == std::string::npos ? path : path.substr(slash + 1));
    made.address_.sun_family = AF_UNIX;
    if (made.path_.size() >= sizeof made.address_.sun_path)
      return fail(Code::kInvalidArgument, "the socket's name is too long: " + path);
    std::memcpy(made.address_.sun_path, made.path_.c_str(), made.path_.size() + 1);
    return made;
  }
  const char* path() const { return path_.c_str(); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const { return sizeof address_; }

 private:
  SocketAddress() = default;
  Fd directory_;
  std::string path_;
  sockaddr_un address_{};
};

Fd make_socket() {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

bool send_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<size_t>(sent);
  }
  return true;
}

}  // namespace

struct SshForward::Pair {
  std::array<Fd, 2> ends;
  std::array<bool, 2> open = {true, true};  // may send something yet
  bool is_done() const { return !open[0] && !open[1]; }

  void pass_on(size_t from) {
    std::array<char, 16384> buffer{};
    const ssize_t got = ::recv(ends[from].get(), buffer.data(), buffer.size(), 0);
    const int to = ends[1 - from].get();
    if (got > 0 && send_all(to, buffer.data(), static_cast<size_t>(got))) return;
    if (got > 0) open[1 - from] = false;
    open[from] = false;
    (void)::shutdown(to, SHUT_WR);
  }
};

Result<std::unique_ptr<SshForward>> SshForward::start(const std::string& path,
                                                      const std::string& agent,
                                                      const SocketAccess& access) {
  KILN_TRY_ASSIGN(const SocketAddress address, SocketAddress::of(path));
  Fd listener = make_socket();
  if (!listener.valid() || ::bind(listener.get(), address.get(), address.size()) != 0 ||
      ::listen(listener.get(), kBacklog) != 0)
    return fail_errno("listen on", path);
  if (::lchown(address.path(), access.uid, access.gid) != 0 ||
      ::chmod(address.path(), access.mode & 07777U) != 0)
    return fail_errno("set owner and mode of", path);
  Fd wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake.valid()) return fail_errno("eventfd for", path);
  return std::unique_ptr<SshForward>(new SshForward(std::move(listener), std::move(wake), agent));
}

SshForward::SshForward(Fd listener, Fd wake, std::string agent)
    : listener_(std::move(listener)),
      wake_(std::move(wake)),
      agent_(std::move(agent)),
      thread_([this] { serve(); }) {}

SshForward::~SshForward() {
  (void)::eventfd_write(wake_.get(), 1);
  thread_.join();
}

/// An agent that does not answer is a connection that ends at once: ssh says so itself.
void SshForward::accept_one(std::vector<Pair>& pairs) const {
  Pair pair;
  pair.ends[0] = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  pair.ends[1] = make_socket();
  const auto address = SocketAddress::of(agent_);
  if (!pair.ends[0].valid() || !pair.ends[1].valid() || !address) return;
  if (::connect(pair.ends[1].get(), address->get(), address->size()) != 0) return;
  const timeval patience{kWriteSeconds, 0};
  for (const Fd& end : pair.ends)
    (void)::setsockopt(end.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  pairs.push_back(std::move(pair));
}

void SshForward::serve() {
  std::vector<Pair> pairs;
  while (true) {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Pair& pair : pairs)
      for (size_t end = 0; end < 2; ++end)
        polled.push_back({pair.open[end] ? pair.ends[end].get() : -1, POLLIN, 0});
    if (::poll(polled.data(), polled.size(), -1) < 0) continue;  // EINTR
    if (polled[0].revents != 0) return;
    for (size_t i = 0; i < 2 * pairs.size(); ++i)
      if (polled[2 + i].revents != 0 && pairs[i / 2].open[i % 2]) pairs[i / 2].pass_on(i % 2);
    pairs.erase(
        std::remove_if(pairs.begin(), pairs.end(), [](const Pair& pair) { return pair.is_done(); }),
        pairs.end());
    if (polled[1].revents != 0) accept_one(pairs);
  }
}

}  // namespace kiln
