#include "solver/executor/network.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <thread>
#include <vector>

#include "base/guarded.h"
#include "base/io.h"
#include "base/process.h"
#include "base/strings.h"
#include "solver/executor/uplink_program.h"

namespace kiln {
namespace {

constexpr size_t kMaxFrameBytes = 70000;
constexpr uint64_t kMaxComplaintBytes = 4096;

unsigned byte_at(std::span<const std::byte> frame, size_t offset) {
  return std::to_integer<unsigned>(frame[offset]);
}

std::string complaint_of(int file) {
  std::string text(kMaxComplaintBytes, '\0');
  const ssize_t bytes = ::pread(file, text.data(), text.size(), 0);
  text.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
  const std::string_view last = trim(text);
  return printable(last.substr(last.rfind('\n') + 1));
}

// A namespace whose way out is opened on demand. Shared by the step and the keeper's thread.
class LazyUplink {
 public:
  LazyUplink(NetNamespace made, const NetworkConfig& config, const Uplinks& uplinks)
      : ns_(std::move(made.ns)), config_(config), uplinks_(uplinks) {
    state_.lock()->tap = std::move(made.tap);
  }

  int namespace_fd() const { return ns_.get(); }
  std::optional<Error> failure() { return state_.lock()->failure; }

  /// What the keeper must watch: the device until the program runs, then its end; -1: nothing.
  int watched_fd() {
    auto state = state_.lock();
    if (state->closed) return -1;
    if (state->tap.valid()) return state->tap.get();
    return state->program ? state->program->pidfd() : -1;
  }

  /// Keeper's thread: the program dies with the thread that starts it.
  void on_ready() {
    auto state = state_.lock();
    if (state->closed) return;
    if (state->tap.valid()) {
      if (drain(state->tap.get())) open_uplink(*state);
    } else if (state->program) {
      state->failure = Error(Code::kUnavailable,
                             "the way to the network ended: " + complaint_of(state->log.get()));
      state->program.reset();
    }
  }

  void close() {
    auto state = state_.lock();
    state->closed = true;
    state->program.reset();  // the device stays open: the keeper may be polling it
  }

 private:
  struct State {
    Fd tap, log;
    std::optional<Child> program;
    std::optional<Error> failure;
    bool closed = false;
  };

  static bool drain(int tap) {
    std::vector<std::byte> frame(kMaxFrameBytes);
    for (;;) {
      const ssize_t bytes = ::read(tap, frame.data(), frame.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) return false;
      if (wants_uplink(std::span(frame).first(static_cast<size_t>(bytes)))) return true;
    }
  }

  void open_uplink(State& state) {
    state.tap.reset();  // one owner at a time; the device stays
    state.log = Fd(::memfd_create("kiln-uplink", MFD_CLOEXEC));
    auto program = uplink_program(config_.search_path, uplinks_, config_.forward_dns, ns_.get());
    if (!program) {
      state.failure = program.error();
      return;
    }
    ProcessSpec spec;
    spec.program = program->path;
    spec.argv = program->argv;
    spec.err = state.log.get();
    spec.keep_fds = {ns_.get()};
    auto child = Child::spawn(spec);
    if (child)
      state.program = std::move(*child);
    else
      state.failure = child.error().wrap("start " + spec.argv.front());
  }

  const Fd ns_;
  const NetworkConfig config_;
  const Uplinks uplinks_;
  Guarded<State> state_;
};

class HostNetwork : public StepNetwork {
 public:
  int namespace_fd() const override { return -1; }
  std::optional<Error> failure() const override { return std::nullopt; }
};

class PlainNetwork : public StepNetwork {
 public:
  explicit PlainNetwork(Fd ns) : ns_(std::move(ns)) {}
  int namespace_fd() const override { return ns_.get(); }
  std::optional<Error> failure() const override { return std::nullopt; }

 private:
  Fd ns_;
};

class SandboxNetwork : public StepNetwork {
 public:
  SandboxNetwork(std::shared_ptr<LazyUplink> uplink, int wake)
      : uplink_(std::move(uplink)), wake_(wake) {}
  ~SandboxNetwork() override {
    uplink_->close();
    (void)::eventfd_write(wake_, 1);  // only fails when it is already full of wake-ups
  }
  int namespace_fd() const override { return uplink_->namespace_fd(); }
  std::optional<Error> failure() const override { return uplink_->failure(); }

 private:
  std::shared_ptr<LazyUplink> uplink_;
  int wake_;  // the keeper's, which outlives every network
};

// One family is enough to get out, and a second costs pasta 10 MB: version 6 where there is nothing
// else, as on Docker's default network.
Uplinks preferred(Uplinks found) {
  if (found.ipv4) found.ipv6 = false;
  return found;
}

// Owns the thread that watches devices, opens uplinks and prepares namespaces.
class Keeper {
 public:
  explicit Keeper(NetworkConfig config)
      : config_(std::move(config)),
        uplinks_(preferred(detect_uplinks())),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}
  ~Keeper() {
    thread_.request_stop();
    wake();
  }

  Result<std::unique_ptr<StepNetwork>> acquire() {
    std::optional<NetNamespace> ready = take_prepared();
    if (!ready) {
      KILN_TRY_ASSIGN(ready, make_net_namespace(uplinks_));
    }
    auto uplink = std::make_shared<LazyUplink>(std::move(*ready), config_, uplinks_);
    {
      auto state = state_.lock();
      state->watched.push_back(uplink);
      state->wanted = config_.prepared_networks;
    }
    wake();
    return std::make_unique<SandboxNetwork>(std::move(uplink), wake_.get());
  }

 private:
  struct State {
    std::vector<std::weak_ptr<LazyUplink>> watched;
    std::vector<NetNamespace> prepared;
    size_t wanted = 0;
  };

  void wake() { (void)::eventfd_write(wake_.get(), 1); }

  std::optional<NetNamespace> take_prepared() {
    auto state = state_.lock();
    if (state->prepared.empty()) return std::nullopt;
    NetNamespace out = std::move(state->prepared.back());
    state->prepared.pop_back();
    return out;
  }

  std::vector<std::shared_ptr<LazyUplink>> watched() {
    std::vector<std::shared_ptr<LazyUplink>> out;
    auto state = state_.lock();
    std::erase_if(state->watched, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : state->watched)
      if (auto uplink = weak.lock()) out.push_back(std::move(uplink));
    return out;
  }

  // One at a time: devices are looked at in between.
  bool prepare_one() {
    {
      auto state = state_.lock();
      if (state->prepared.size() >= state->wanted) return false;
    }
    auto made = make_net_namespace(uplinks_);
    auto state = state_.lock();
    if (!made) {
      state->wanted = 0;  // acquire() meets the same error and tells it
      return false;
    }
    state->prepared.push_back(*std::move(made));
    return true;
  }

  void run(const std::stop_token& stop) {
    bool prepare = false;
    while (!stop.stop_requested()) {
      const auto uplinks = watched();
      std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
      for (const auto& uplink : uplinks) fds.push_back({uplink->watched_fd(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), prepare ? 0 : -1) < 0 && errno != EINTR) return;
      eventfd_t count = 0;
      (void)::eventfd_read(wake_.get(), &count);  // empty unless woken
      for (size_t i = 0; i < uplinks.size(); ++i)
        if (fds[i + 1].revents != 0) uplinks[i]->on_ready();
      prepare = !stop.stop_requested() && prepare_one();
    }
  }

  const NetworkConfig config_;
  const Uplinks uplinks_;
  const Fd wake_;
  Guarded<State> state_;
  std::jthread thread_;  // last: it uses all of the above
};

class LinuxNetworks : public Networks {
 public:
  explicit LinuxNetworks(NetworkConfig config) : config_(std::move(config)) {}

  Result<std::unique_ptr<StepNetwork>> acquire(llb::NetMode mode) override {
    switch (mode) {
      case llb::NetMode::kHost:
        return std::make_unique<HostNetwork>();
      case llb::NetMode::kNone: {
        KILN_TRY_ASSIGN(NetNamespace made, make_net_namespace(Uplinks{}));
        return std::make_unique<PlainNetwork>(std::move(made.ns));
      }
      case llb::NetMode::kSandbox:
        std::call_once(started_, [this] { keeper_ = std::make_unique<Keeper>(config_); });
        return keeper_->acquire();
    }
    return fail(Code::kInvalidArgument, "unknown network mode");
  }

 private:
  const NetworkConfig config_;
  std::once_flag started_;
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace

bool wants_uplink(std::span<const std::byte> frame) {
  constexpr size_t kEthernetHeader = 14;
  if (frame.size() < kEthernetHeader) return false;
  const unsigned type = byte_at(frame, 12) << 8U | byte_at(frame, 13);
  constexpr unsigned kArp = 0x0806, kIpv4 = 0x0800, kIpv6 = 0x86dd;
  const bool multicast = (byte_at(frame, 0) & 1U) != 0;
  if (type == kArp) return true;
  if (type == kIpv4) return !multicast;
  if (type != kIpv6) return false;
  if (!multicast) return true;
  // A neighbour solicitation (ICMPv6 135) from an address, not the probe of one's own address.
  constexpr size_t kNextHeader = 20, kSource = 22, kIcmpType = 54;
  constexpr unsigned kIcmpv6 = 58, kSolicitation = 135;
  if (frame.size() <= kIcmpType || byte_at(frame, kNextHeader) != kIcmpv6 ||
      byte_at(frame, kIcmpType) != kSolicitation)
    return false;
  const auto source = frame.subspan(kSource, 16);
  return std::any_of(source.begin(), source.end(), [](std::byte b) { return b != std::byte{0}; });
}

std::unique_ptr<Networks> Networks::make(NetworkConfig config) {
  return std::make_unique<LinuxNetworks>(std::move(config));
}

}  // namespace kiln
