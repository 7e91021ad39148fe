// The network of a step: kiln's own, none, or a namespace of its own with a way out through a
// program (uplink_program.h).
//
// The program costs memory and some 100 ms a namespace, and most steps never send a packet. So a
// namespace gets a TAP device with addresses and routes at once, and the program takes the device
// over when the first packet for elsewhere appears on it; address resolution, which keeps asking,
// bridges the gap. A namespace serves one step and is not used again.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "llb/op.h"
#include "solver/executor/net_namespace.h"

namespace kiln {

struct NetworkConfig {
  std::string search_path;       // for the uplink program
  bool forward_dns = false;      // the machine's resolver is on its loopback
  size_t prepared_networks = 2;  // namespaces kept ready
};

/// One step's network. Its destructor ends the program and lets go of the namespace.
class StepNetwork {
 public:
  virtual ~StepNetwork() = default;
  /// -1: the step uses kiln's own network.
  virtual int namespace_fd() const = 0;
  /// Why the way out could not be opened, once it was needed and failed; with its hint.
  virtual std::optional<Error> failure() const = 0;
};

/// Thread-safe. Starts a thread with the first sandboxed network; namespaces are prepared there.
class Networks {
 public:
  static std::unique_ptr<Networks> make(NetworkConfig config);
  virtual ~Networks() = default;
  /// kPermissionDenied, kNotFound: as make_net_namespace().
  virtual Result<std::unique_ptr<StepNetwork>> acquire(llb::NetMode mode) = 0;
};

/// True for a frame that somebody beyond the device must answer, and not mere chatter of a device
/// that came up (router solicitations, multicast reports). Pure.
bool wants_uplink(std::span<const std::byte> ethernet_frame);

}  // namespace kiln
