// The networks a step may have: none, its own with a way out, the machine's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/strings.h"
#include "solver/executor/net_namespace.h"
#include "tests/contract/executor_under_test.h"

namespace kiln {
namespace {

using fake::must;
using std::chrono_literals::operator""ms;
using testing::HasSubstr;
using testing::Not;

class ExecutorNetworkContract : public ExecutorContract {
 protected:
  /// An executor that finds the runtimes and these programs, and nothing else.
  void find_only(const std::vector<std::string>& programs) {
    executor_.reset();
    const std::string bin = path("bin-" + (programs.empty() ? "none" : programs.front()));
    must(make_dirs(bin));
    std::vector<std::string> names = {"crun", "runc"};
    names.insert(names.end(), programs.begin(), programs.end());
    for (const std::string& name : names)
      if (const auto found = find_program(name, kSearchPath)) {
        ASSERT_EQ(::symlink(found->c_str(), (bin + "/" + name).c_str()), 0);
      }
    config_.search_path = bin;
    executor_ = must(make_oci_executor(config_));
  }

  ExecRequest sandboxed(const std::string& script) const {
    ExecRequest request = shell(script);
    request.network = llb::NetMode::kSandbox;
    request.add_hosts = {{"machine", "host-gateway"}};
    return request;
  }
};

// Says hello to one client, after `delay`, and closes.
class Greeter {
 public:
  explicit Greeter(std::chrono::milliseconds delay = {})
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), generic, length), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener_.get(), generic, &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, delay] {
      const Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::this_thread::sleep_for(delay);
      (void)FdSink(peer.get()).write(as_bytes("hello\n"));
    });
  }
  ~Greeter() { (void)::shutdown(listener_.get(), SHUT_RDWR); }  // or it waits for a client for ever
  std::string port() const { return std::to_string(port_); }

 private:
  const Fd listener_;
  uint16_t port_ = 0;
  std::jthread thread_;
};

TEST_P(ExecutorNetworkContract, WithoutNetworkThereIsLoopbackAndItIsUp) {
  const std::string out = output("ip -o link; ip -o addr");
  EXPECT_THAT(out, HasSubstr("127.0.0.1/8"));
  EXPECT_THAT(out, HasSubstr("LOOPBACK,UP"));
  EXPECT_THAT(out, Not(HasSubstr("eth0")));
}

TEST_P(ExecutorNetworkContract, ASandboxedNetworkIsItsOwnAndHasAWayOut) {
  if (must(read_file("/proc/net/route", 1U << 20U)).find("\t00000000\t") == std::string::npos)
    GTEST_SKIP() << "this machine has no default route";
  const ExecRequest request = sandboxed("ip -o addr; ip route; readlink /proc/self/ns/net");
  const std::string out = output(request);
  EXPECT_THAT(out, HasSubstr("10.0.2.100/24"));
  EXPECT_THAT(out, HasSubstr("default via"));
  EXPECT_NE(out.substr(out.rfind("net:")), output(request).substr(out.rfind("net:")))
      << "no two steps share a namespace";
}

TEST_P(ExecutorNetworkContract, ASandboxedNetworkReachesOthersWithItsFirstPacket) {
  if (!primary_address()) GTEST_SKIP() << "this machine has no default route";
  for (const char* program : {"slirp4netns", "pasta"}) {
    SCOPED_TRACE(program);
    find_only({program});
    const Greeter greeter;
    // Its input stays open: see uplink_program.h about pasta.
    const Ran ran = run(sandboxed("mkfifo in; exec 3<>in; nc machine " + greeter.port() + " <&3"));
    EXPECT_EQ(ran.out, "hello\n") << ran.err;
  }
}

TEST_P(ExecutorNetworkContract, AClientThatClosesItsSideFirstHearsTheServerOut) {
  if (!primary_address()) GTEST_SKIP() << "this machine has no default route";
  const Greeter greeter(50ms);
  const Ran ran =
      run(sandboxed("timeout 20 nc machine " + greeter.port() + " </dev/null && echo ended"));
  EXPECT_EQ(ran.out, "hello\nended\n") << ran.err;
}

TEST_P(ExecutorNetworkContract, WithoutAWayOutAStepThatNeedsTheNetworkIsTold) {
  if (!primary_address()) GTEST_SKIP() << "this machine has no default route";
  find_only({});
  const Ran ran = run(sandboxed("nc -w 1 192.0.2.1 9 < /dev/null || exit 4"));
  EXPECT_EQ(ran.code(), 4);
  EXPECT_THAT(ran.err, HasSubstr("neither slirp4netns nor pasta is installed"));
}

TEST_P(ExecutorNetworkContract, TheMachinesNetworkIsSharedWhenAsked) {
  ExecRequest request = shell("readlink /proc/self/ns/net");
  request.network = llb::NetMode::kHost;
  std::string own(100, '\0');
  own.resize(static_cast<size_t>(::readlink("/proc/self/ns/net", own.data(), own.size())));
  EXPECT_EQ(trim(output(request)), own);
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ExecutorNetworkContract, testing::Values("crun", "runc"),
                         runtime_name);

}  // namespace
}  // namespace kiln
