#include "solver/ops/ssh_forward.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

#include "base/fs.h"

namespace kiln {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Fd unix_socket() {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

std::string read_to_end(int fd) {
  std::string text;
  char buffer[64];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(got));
  return text;
}

/// Answers one connection with what it said, in brackets, once it has said all.
class BracketAgent {
 public:
  explicit BracketAgent(const std::string& path) : listener_(unix_socket()) {
    const sockaddr_un address = address_of(path);
    EXPECT_EQ(::bind(listener_.get(), generic(address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    thread_ = std::thread([this] {
      const Fd client(::accept(listener_.get(), nullptr, nullptr));
      const std::string answer = "[" + read_to_end(client.get()) + "]";
      EXPECT_EQ(::write(client.get(), answer.data(), answer.size()),
                static_cast<ssize_t>(answer.size()));
    });
  }
  ~BracketAgent() { thread_.join(); }

 private:
  Fd listener_;
  std::thread thread_;
};

std::string ask(const std::string& path, const std::string& question) {
  const Fd client = unix_socket();
  const sockaddr_un address = address_of(path);
  EXPECT_EQ(::connect(client.get(), generic(address), sizeof address), 0);
  EXPECT_EQ(::write(client.get(), question.data(), question.size()),
            static_cast<ssize_t>(question.size()));
  ::shutdown(client.get(), SHUT_WR);
  return read_to_end(client.get());
}

TEST(SshForwardTest, PassesBothDirectionsOnToTheAgent) {
  const TempDir dir = TempDir::create("/tmp", "kiln-agent-").value();
  const BracketAgent agent(dir.path() + "/agent");
  const auto forward = SshForward::start(dir.path() + "/s", dir.path() + "/agent", {});
  ASSERT_TRUE(forward) << forward.error().to_string();
  EXPECT_EQ(ask(dir.path() + "/s", "list keys"), "[list keys]");
}

TEST(SshForwardTest, TheSocketHasTheModeAsked) {
  const TempDir dir = TempDir::create("/tmp", "kiln-agent-").value();
  const SocketAccess access{::getuid(), ::getgid(), 0620};
  const auto forward = SshForward::start(dir.path() + "/s", dir.path() + "/agent", access);
  ASSERT_TRUE(forward) << forward.error().to_string();
  struct stat st {};
  ASSERT_EQ(::stat((dir.path() + "/s").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0620U);
}

TEST(SshForwardTest, AnAgentThatIsGoneEndsTheConnectionAndNotKiln) {
  const TempDir dir = TempDir::create("/tmp", "kiln-agent-").value();
  const auto forward = SshForward::start(dir.path() + "/s", dir.path() + "/agent", {});
  ASSERT_TRUE(forward) << forward.error().to_string();
  const Fd client = unix_socket();
  const sockaddr_un address = address_of(dir.path() + "/s");
  ASSERT_EQ(::connect(client.get(), generic(address), sizeof address), 0);
  EXPECT_EQ(read_to_end(client.get()), "");
}

}  // namespace
}  // namespace kiln
